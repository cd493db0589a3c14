#!/bin/sh
# awake MODULE FUNCTION WORD...: what a console script does, by the Python in this guest that is awake already.
name=/run/lab/awake$$ module=$1 function=$2 words=
shift 2
for word; do
    case $word in *[\"\\]*) echo "awake: a word that JSON would quote: $word" >&2; exit 2 ;; esac
    words="$words${words:+, }\"$word\""
done
touch $name.out $name.err
mkfifo $name.end
echo "[\"$name\", \"$PWD\", \"$module\", \"$function\", [$words]]" >/run/nursery
read -r status <$name.end
cat $name.out
cat $name.err >&2
rm -f $name.out $name.err $name.end
exit "$status"
