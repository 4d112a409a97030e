#!/usr/bin/env bash
# Network namespaces as hosts of an MPI job, joined by a bridge, with links of a limited rate. Needs root and iproute2.
#
#   tests/hosts.sh up N RATE        N hosts, each sends and receives at RATE (1gbit, 100mbit)
#   tests/hosts.sh run VENV COMMAND...   COMMAND on one rank of each host, over TCP, by the MPICH of VENV
#   tests/hosts.sh down
set -euo pipefail
me=$(readlink -f "$0")
folder=${TMPDIR:-/tmp}/hpcopt-hosts
bridge=hpcbr
net=10.87.0

hosts() { ip netns list | awk '{print $1}' | grep -E '^hpc[0-9]+$' | sort -V || true; }

down() {
    for host in $(hosts); do
        for process in $(ip netns pids "$host"); do kill -9 "$process" || true; done
        ip netns del "$host"
        rm -rf "/etc/netns/$host"
    done
    if ip netns list | grep -q "^$bridge"; then ip netns del "$bridge"; fi
    rm -rf "$folder"
}

limit() { # NAMESPACE DEVICE RATE
    # a burst of three packets, so that a message has the rate from its start; a queue of a switch's size
    ip netns exec "$1" tc qdisc add dev "$2" root tbf rate "$3" burst 5kb limit 1mb
}

up() {
    down
    mkdir -p "$folder"
    { echo "127.0.0.1 localhost"; for i in $(seq "$1"); do echo "$net.$i hpc$i"; done; } >"$folder/hosts"
    # in place of ssh: AGENT [options] HOST COMMAND...
    printf '#!/bin/bash\nwhile [[ $1 == -* ]]; do shift; done\nexec %q on "$1" "${*:2}"\n' "$me" >"$folder/agent"
    chmod +x "$folder/agent"
    ip netns add "$bridge"
    ip -n "$bridge" link add br0 type bridge
    ip -n "$bridge" link set br0 up
    for i in $(seq "$1"); do
        ip netns add "hpc$i"
        mkdir -p "/etc/netns/hpc$i"
        cp "$folder/hosts" "/etc/netns/hpc$i/hosts"
        ip -n "$bridge" link add "port$i" type veth peer name eth0 netns "hpc$i"
        ip -n "$bridge" link set "port$i" master br0 up
        ip -n "hpc$i" link set lo up
        ip -n "hpc$i" addr add "$net.$i/24" dev eth0
        ip -n "hpc$i" link set eth0 up
        limit "hpc$i" eth0 "$2"
        limit "$bridge" "port$i" "$2"
    done
}

on() { # HOST COMMAND
    exec ip netns exec "$1" unshare --uts bash -c "hostname $1; $2"
}

run() {
    local venv=$1 command
    shift
    printf -v command '%q ' "$@"
    export UCX_NET_DEVICES=eth0 UCX_TLS=tcp,self
    on hpc1 "exec $venv/bin/mpiexec -launcher ssh -launcher-exec $folder/agent -iface eth0 \
        -hosts $(hosts | paste -sd,) -ppn 1 -n $(hosts | wc -l) $command"
}

verb=$1
shift
case $verb in
    up | down | on | run) "$verb" "$@" ;;
    *) sed -n '2,7p' "$me"; exit 2 ;;
esac
