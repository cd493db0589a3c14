# Sourced before each script that runs in the guest.

# Without processes of their own where the shell can do it: to make one takes an emulated processor long.

# within SECONDS COMMAND...: until the command succeeds
within() {
    read -r _now _ </proc/uptime
    _end=$((${_now%.*} + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        read -r _now _ </proc/uptime
        [ "${_now%.*}" -ge $_end ] && { echo "not within the time: $*"; return 1; }
        usleep 50000
    done
}

# exists PATTERN: whether a file is so called
exists() {
    set -- $1
    [ -e "$1" ]
}

missing() {
    ! exists "$1"
}

# gone PID: whether there is no such process
gone() {
    ! kill -0 "$1"
}

# start_iscsid INITIATOR-NAME
start_iscsid() {
    modprobe -a iscsi_tcp sd_mod sg
    echo "InitiatorName=$1" >/etc/iscsi/initiatorname.iscsi
    pidof iscsid >/dev/null || iscsid
}

start_udev() {
    pidof systemd-udevd >/dev/null || /usr/lib/systemd/systemd-udevd --daemon
    udevadm trigger --action=add --subsystem-match=scsi --subsystem-match=block --subsystem-match=scsi_generic
    udevadm settle -t 20
}

# transfers DISK: how many reads and writes have ended
transfers() {
    awk '{ print $1 + $5 }' "/sys/block/${1##*/}/stat"
}

# generic DISK: the path of its SCSI generic device, which can be opened without that the kernel locks a removable medium
generic() {
    echo /dev/"$(ls "/sys/block/${1##*/}/device/scsi_generic")"
}

# load DISK: four readers and a writer that go on until one of their transfers fails; returns when they are at work
load() {
    for _ in 1 2 3 4; do (while dd if="$1" of=/dev/null bs=64k iflag=direct; do :; done) >/dev/null 2>&1 & done
    _blocks=$(($(cat "/sys/block/${1##*/}/size") >> 7)) # of 64 KiB: a writer that comes to the end of the disk has failed
    [ $_blocks -lt 512 ] || _blocks=512
    (while dd if=/dev/zero of="$1" bs=64k count=$_blocks oflag=direct; do :; done) >/dev/null 2>&1 &
    _goal=$(($(transfers "$1") + 200))
    reached() { [ "$(transfers "$1")" -ge "$2" ]; }
    within 20 reached "$1" $_goal
}

# load_over: waits for the end of what load began
load_over() {
    within 60 sh -c '! pidof dd'
}

# nothing_hangs: no process waits for a device any more
nothing_hangs() {
    _hanging=$(ps -o stat,comm | grep '^D' | grep -v kworker)
    [ -z "$_hanging" ] || { echo "$_hanging"; return 1; }
}

# disk SESSION LUN: waits for the block device and prints its path
disk() {
    _tries=0
    while [ $_tries -lt 200 ]; do
        for _path in /sys/class/iscsi_session/session$1/device/target*/*:*:*:$2/block/*; do
            [ -b "/dev/${_path##*/}" ] && { echo "/dev/${_path##*/}"; return 0; }
        done
        _tries=$((_tries + 1))
        usleep 50000
    done
    echo "no disk of session $1 LUN $2"
    return 1
}
