#!/bin/busybox sh
# The first and only process of a guest. Each step says where it begins and ends and with which status; the host
# judges by those lines alone, so a guest that dies on the way has failed.

export PATH=/bin NO_COLOR=1
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /tmp

step() {
    name=$1
    shift
    echo "@@ begin $name"
    "$@" </dev/null 2>&1
    echo "@@ end $name $?"
}

modules() {
    while read -r module; do
        insmod "/lib/modules/$module" || return
    done </lib/modules/order
}

veth() {
    ip link add type veth && ip link set veth0 name lb0 && ip link set veth1 name lb0-peer &&
        ip link set lo up && ip link set lb0 up && ip link set lb0-peer up &&
        ip address add 10.0.0.1/24 dev lb0 && ip -6 address add fd00::1/64 dev lb0
}

# shellcheck source=kinds.sh
. /kinds.sh

# The agent's log is on the console too when it failed: it may be the verifier's.
attach() {
    lb-ctl attach lb0
    status=$?
    [ $status = 0 ] || find /var/lib/lb /var/log /run/lb -name '*.log' -exec cat {} +
    return $status
}

# BPF, PERFMON, NET_ADMIN and NET_RAW, of which this kernel has let it do all of the above.
capabilities() {
    pid=$(head -n 1 /var/lib/lb/agent.pid)
    for set in CapPrm CapEff CapBnd; do
        grep "^$set:.000000c000003000\$" "/proc/$pid/status" || return
    done
}

echo 1 >/proc/sys/net/ipv4/ip_forward
echo "@@ kernel $(uname -r)"
step modules modules
step veth veth
step attach attach
step service lb-ctl service add web 192.0.2.10:80/tcp --scheduler mh
step server-nat lb-ctl server add web 10.0.0.11 --method nat
step server-ipip lb-ctl server add web 10.0.0.12 --method ipip
step status lb-ctl status
step connections lb-ctl connections
step capabilities capabilities
step detach lb-ctl detach lb0 --yes
for kind in kinds bond bridge macvlan vlan; do
    step $kind $kind
done
step program program-tests --test-threads 2
echo "@@ done"
poweroff -f
