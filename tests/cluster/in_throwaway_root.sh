#!/usr/bin/env bash
# Runs a script in a throw-away root over this machine's own: what is installed or
# started there is gone when it ends. Needs root, and a kernel with overlayfs.
#
#   in_throwaway_root.sh SCRIPT FOLDER...    each FOLDER is seen, and written, as it is
set -euo pipefail
script=$(realpath "$1")
shift
base=$(mktemp -d)
root=$base/root
end() {
  # Nothing of it may outlive it: not even a daemon that has left its parent.
  for process in /proc/[0-9]*; do
    [[ "$(readlink "$process/root" 2>/dev/null)" == "$root"* ]] &&
      kill -KILL "${process#/proc/}" 2>/dev/null
  done
  umount --recursive --lazy "$base" 2>/dev/null || true
  rmdir "$base" 2>/dev/null || true
}
trap end EXIT
mount -t tmpfs -o size=4g tmpfs "$base"
mkdir "$base"/{above,work,root}
mount -t overlay overlay \
  -o "lowerdir=/,upperdir=$base/above,workdir=$base/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --make-rslave "$root/sys"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/run/lock"
for folder in "$@"; do
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
done
chroot "$root" bash "$script"
