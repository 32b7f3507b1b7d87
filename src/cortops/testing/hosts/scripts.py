"""The shell programs of a fleet: one keeps a host, one takes everything away. Their arguments come as environment variables."""

from __future__ import annotations

# Holds one host's mounts and network, in namespaces of its own, so that both go with it, and boots it. After a reboot asked for inside
# (133) it boots again; when the host is off (poweroff, or its processes were killed) it waits for a line on stdin, and ends with stdin.
KEEPER = r"""
set -eu
for group in $GROUPS; do echo 0 > "$group/cgroup.procs"; done
mount -t tmpfs -o "mode=0755,size=$DISK_SIZE" tmpfs "$PLACE/disk"
mkdir "$PLACE/disk/upper" "$PLACE/disk/work" "$PLACE/disk/root"
cp -a "$PLACE/files/." "$PLACE/disk/upper/"
mount -t overlay -o "lowerdir=$LOWER,upperdir=$PLACE/disk/upper,workdir=$PLACE/disk/work" overlay "$PLACE/disk/root"
mount -t tmpfs tmpfs /run  # systemd-nspawn remembers there what it booted, and would not boot it again
ip link set lo up
ip link add host0 type veth peer name "$LINK" netns "$PPID"
ip addr add "$ADDRESS/24" dev host0
ip link set host0 up
nsenter "--net=/proc/$PPID/ns/net" ip link set "$LINK" master "$BRIDGE" up
while :; do
  status=0
  (
    for group in $GROUPS; do echo 0 > "$group/machine/cgroup.procs"; done
    exec env -i "PATH=$PATH" SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \
      systemd-nspawn --quiet --boot "--directory=$PLACE/disk/root" "--machine=$NAME" --register=no --keep-unit --settings=no \
      "--network-namespace-path=/proc/$$/ns/net" --console=pipe --resolv-conf=off --timezone=off --link-journal=no
  ) < /dev/null || status=$?
  [ "$status" -eq 133 ] && continue
  read -r order || exit 0
done
"""

# Runs a program in a booted host as its root: in the host's control groups, so that it ends with the host, then in its namespaces.
INSIDE = r"""
for group in $GROUPS; do echo 0 > "$group/machine/cgroup.procs"; done
home=~root
exec nsenter --target "$LEADER" --mount --uts --ipc --net --pid --cgroup --root --wd -- env -i "HOME=$home" \
  SHELL=/bin/sh USER=root LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c "$SCRIPT"
"""

# Waits for the end of its stdin, that is of the fleet or of the process that made it, however that ended. Then kills every process of
# the fleet and removes its links, control groups and folder. The first of TREES is the one of version 2.
JANITOR = r"""
while read -r line; do :; done
set -- $TREES
echo 1 > "$1/$RUN/cgroup.kill"
while grep -q 'populated 1' "$1/$RUN/cgroup.events"; do sleep 0.01; done
for link in "/sys/class/net/$RUN"*; do
  [ -e "$link" ] && ip link del "${link##*/}" 2>/dev/null
done
for tree in $TREES; do
  while [ -e "$tree/$RUN" ]; do find "$tree/$RUN" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.01; done
done
rm -rf "$FOLDER"
"""
