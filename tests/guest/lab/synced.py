"""Files in the guest that were made durable, and what a power cut of guest and disk together has left of them."""

from guest.lab.shell import Shell

_SCRIPTS = """
# prepare: some blocks to write, with their sums
prepare() {
    rm -f /tmp/log
    : >/tmp/synced
    for block in 0 1 2 3 4 5 6 7; do
        dd if=/dev/urandom of=/tmp/block$block bs=$((5000 + block * 7001)) count=1 2>/dev/null
        sum=$(sha256sum </tmp/block$block)
        echo ${sum%% *} >/tmp/sum$block
    done
}

# write FOLDER: files, and lines of a log, each made durable and put on a list then, until one of them fails
write() {
    number=$(wc -l </tmp/synced)
    while :; do
        number=$((number + 1))
        block=$((number % 8))
        dd if=/tmp/block$block of=$1/file$number bs=64k conv=fsync || return
        read sum </tmp/sum$block
        echo "$sum  file$number" >>/tmp/synced
        echo "line $number" | dd of=$1/log oflag=append conv=notrunc,fsync || return
        echo "line $number" >>/tmp/log
    done
}

# noise FOLDER: blocks that nobody makes durable, until one of them fails
noise() {
    while dd if=/dev/zero of=$1/noise bs=4k count=2000 conv=notrunc oflag=direct; do :; done
}

# written COUNT: whether so many files are on the list
written() {
    [ "$(wc -l </tmp/synced)" -ge "$1" ]
}

# begin FOLDER: write in the background
begin() {
    touch $1/log /tmp/log
    (noise $1 & write $1; wait) >/tmp/writer.out 2>&1 &
    echo $! >/tmp/writer.pid
}

# lose_power DISK FOLDER: nothing goes to the disk any more, and what the kernel knows of it is forgotten
lose_power() {
    echo offline >/sys/block/${1##*/}/device/state
    within 60 gone $(cat /tmp/writer.pid) && umount $2
    echo 3 >/proc/sys/vm/drop_caches
    echo running >/sys/block/${1##*/}/device/state
}

# examine FOLDER: every file of the list is what it was, and the log begins with every line that was made durable
examine() {
    [ -s /tmp/synced ] || return 0
    tail -n 24 /tmp/synced >/tmp/recent
    (cd $1 && sha256sum --quiet -c /tmp/recent) || return
    head -c $(stat -c %s /tmp/log) $1/log | cmp - /tmp/log || return
    cp $1/log /tmp/log
    sed 's/.* //' /tmp/recent >/tmp/keep
    (cd $1 && ls | grep '^file' | grep -vxFf /tmp/keep | xargs -r rm)
}
"""


class SyncedFiles:
    """A writer in the guest that calls fsync, on a disk that loses its power again and again.

    :param disk: another path of the same disk may be put in its place.
    :param make: the command that makes the file system, without the disk.
    """

    def __init__(self, guest: Shell, disk: str, make: str, folder: str = "/mnt/d") -> None:
        self._guest = guest
        self.disk = disk
        self._folder = folder
        guest.put("/tmp/synced.sh", _SCRIPTS.encode())
        self._run(f"prepare; {make} {disk}")

    def write(self, files: int) -> None:
        """Examine what the last power cut has left, write until some more files are durable, and lose the power in the midst of it.

        What was durable and is not there is an AssertionError.
        """
        self._run(
            f"""
            goal=$(($(wc -l </tmp/synced) + {files}))
            mount {self.disk} {self._folder} && examine {self._folder} || exit
            begin {self._folder}
            within 60 written $goal || exit
            lose_power {self.disk} {self._folder}
            """,
        )

    def examine(self) -> None:
        """The same without writing any more."""
        self._run(f"mount {self.disk} {self._folder} && examine {self._folder} && umount {self._folder}")

    @property
    def count(self) -> int:
        """How many files were durable until now."""
        return int(self._guest.text("wc -l </tmp/synced"))

    def _run(self, script: str) -> None:
        self._guest.run(f". /tmp/synced.sh; {script}", timeout_s=120)
