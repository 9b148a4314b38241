# The first process of a machine that systemd runs, until it becomes systemd. $1: an empty directory; $2: lb-ctl;
# $3: the directory of the units.
#
# It has mount, process and control group namespaces of its own. /usr is the host's, read-only; of its units there are
# those that a service needs, and none that sets up a machine: those would set up this one.
set -eu
root=$1
mount -t tmpfs -o mode=0755 tmpfs "$root"
cd "$root"
mkdir usr etc proc sys dev run tmp var root old
mkdir -p etc/systemd/system var/lib var/log var/tmp
for link in bin sbin lib lib64; do ln -s usr/$link $link; done
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t tmpfs -o mode=0755 tmpfs usr/local
mkdir usr/local/sbin
cp "$2" usr/local/sbin/lb-ctl

for unit in basic.target final.target local-fs.target multi-user.target network.target paths.target shutdown.target \
    slices.target sockets.target swap.target sysinit.target timers.target umount.target systemd-journald.service \
    systemd-journald.socket systemd-journald-dev-log.socket; do
    cp usr/lib/systemd/system/$unit etc/systemd/system/
done
mkdir etc/systemd/system/sysinit.target.wants
ln -s ../systemd-journald.service etc/systemd/system/sysinit.target.wants/
cp "$3"/*.service etc/systemd/system/
for hidden in system system-generators; do mount -t tmpfs tmpfs usr/lib/systemd/$hidden; done

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t bpf -o mode=0700 bpf sys/fs/bpf
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=0755 tmpfs dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
chmod 1777 tmp var/tmp dev/shm

echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd
printf '%s\n' root:x:0: systemd-journal:x:1: admins:x:7: >etc/group
: >etc/machine-id

pivot_root . old
umount -l old
# systemd leaves the kernel's own settings alone in a container.
export container=lab
exec /lib/systemd/systemd --unit=multi-user.target
