#!/usr/bin/env bash
# confine.sh ROOT USER:GROUP OUTSIDE:INSIDE:ro|rw... -- PROGRAM ARGUMENTS...: becomes the program, as its container would: in a root that can only
# be read and holds this system's libraries and the given folders, as that user, without any capability or the way to one. To be run by root in a
# mount namespace of its own (unshare --mount).
set -euo pipefail
root=$1 user=${2%:*} group=${2#*:}
shift 2

attach() { # OUTSIDE INSIDE ro|rw
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  [[ $3 == rw ]] || mount -o remount,bind,ro "$root$2"
}

mount -t tmpfs -o mode=0755 tmpfs "$root"
for folder in /bin /sbin /lib /lib64; do
  if [[ -L $folder ]]; then cp -P "$folder" "$root$folder"; elif [[ -d $folder ]]; then attach "$folder" "$folder" ro; fi
done
attach /usr /usr ro
attach /etc /etc ro
attach /dev /dev rw
attach /proc /proc rw
mkdir "$root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
while [[ $1 != -- ]]; do
  IFS=: read -r outside inside mode <<<"$1"
  attach "$outside" "$inside" "$mode"
  shift
done
shift
mount -o remount,ro "$root"
exec chroot "$root" setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"
