# The kinds of interfaces that a director may have: for each, one connection by dr from a client to a server.
#
# Client, server and switch are namespaces of their own; the director is the guest itself, with two uplinks. Commands are
# called by their paths: the shell would take its own.

ip=/sbin/ip

# Makes both ends of a wire take redirected frames and send whole ones: plug DEVICE NAMESPACE PORT.
plug() {
    $ip link add "$1" type veth peer name "$3" && $ip link set "$3" netns switch &&
        $ip -n switch link set "$3" master switch up &&
        $ip netns exec switch ethtool -K "$3" gro on && ethtool -K "$1" tx off gro on >/dev/null &&
        if [ "$2" = here ]; then $ip link set "$1" up; else $ip link set "$1" netns "$2" && $ip -n "$2" link set "$1" up; fi
}

kinds() {
    for one in switch client server; do
        $ip netns add $one && $ip -n $one link set lo up || return
    done
    $ip -n switch link add switch type bridge stp_state 0 forward_delay 0 mcast_snooping 0 &&
        $ip -n switch link set switch up &&
        plug up0 here port0 && plug up1 here port1 && plug eth0 client client && plug eth0 server server &&
        $ip -n client address add 192.0.2.1/24 dev eth0 && $ip -n server address add 192.0.2.11/24 dev eth0 &&
        $ip -n server address add 192.0.2.20/32 dev lo || return
    $ip netns exec server sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
        echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce
        while true; do echo answer | nc -l -p 80 >/dev/null 2>&1; done' &
    lb-ctl service add kinds 192.0.2.20:80/tcp
}

# The client asks until it is answered: the server's MAC address may not be known yet.
answered() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        $ip netns exec client sh -c 'echo | nc -w 2 192.0.2.20 80' | grep answer && return
        sleep 1
    done
    lb-ctl status
    lb-ctl stats
    return 1
}

# Serves by the interface $1, which has to be attached in mode $2, and takes everything off again.
serves() {
    $ip address add 192.0.2.2/24 dev "$1" && $ip link set "$1" up && lb-ctl attach "$1" &&
        lb-ctl status | grep "attached, $2" && lb-ctl server add kinds 192.0.2.11 && answered
    status=$?
    lb-ctl server remove kinds 192.0.2.11 --yes
    lb-ctl detach "$1" --yes
    $ip address flush dev "$1"
    return $status
}

# That `lb-ctl ARGUMENTS` is refused with the words $1.
refused() {
    words=$1
    shift
    lb-ctl "$@" 2>&1 | grep "$words"
}

bond() {
    $ip link add bond7 type bond mode active-backup miimon 100 && $ip link set up0 down && $ip link set up1 down &&
        $ip link set up0 master bond7 && $ip link set up1 master bond7 && $ip link set bond7 up &&
        serves bond7 native && refused "it belongs to bond7" attach up0
    status=$?
    $ip link delete bond7
    $ip link set up0 up
    return $status
}

bridge() {
    $ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 && $ip link set up0 master br0 &&
        serves br0 generic && refused "it is a port of br0" attach up0
    status=$?
    $ip link delete br0
    return $status
}

macvlan() {
    $ip link add mac0 link up0 type macvlan mode bridge && serves mac0 generic
    status=$?
    $ip link delete mac0
    return $status
}

# All speak with tags; what an untagged card cannot send is refused, and generic mode sends it.
vlan() {
    for one in client server; do
        $ip -n $one link add link eth0 name eth0.7 type vlan id 7 && $ip -n $one link set eth0.7 up || return
    done
    $ip -n client address flush dev eth0 && $ip -n server address flush dev eth0 &&
        $ip -n client address add 192.0.2.1/24 dev eth0.7 && $ip -n server address add 192.0.2.11/24 dev eth0.7 &&
        $ip link add link up0 name up0.7 type vlan id 7 && serves up0.7 generic &&
        $ip address add 192.0.2.2/24 dev up0.7 && lb-ctl attach up0 &&
        refused "up0.7 cannot send what is redirected to it" server add kinds 192.0.2.11 &&
        lb-ctl attach up0 --mode generic && lb-ctl server add kinds 192.0.2.11
    status=$?
    lb-ctl server remove kinds 192.0.2.11 --yes
    lb-ctl detach up0 --yes
    $ip link delete up0.7
    return $status
}
