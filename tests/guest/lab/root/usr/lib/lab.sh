# Sourced before each script that runs in the guest.

# within SECONDS COMMAND...: until the command succeeds
within() {
    _end=$(($(cut -d. -f1 /proc/uptime) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -ge $_end ] && { echo "not within the time: $*"; return 1; }
        usleep 50000
    done
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
