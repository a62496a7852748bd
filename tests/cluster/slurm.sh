#!/usr/bin/env bash
# Starts a SLURM cluster of one node, this machine, and checks a study on it. To be run
# by in_throwaway_root.sh, in the folder of the repository and with its Python, which
# are $REPOSITORY and $PYTHON.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive PATH=$PATH:/usr/sbin:/sbin
host=$(hostname -s)

# Debian's packages would start what they install.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
apt-get update -qq
apt-get install -y -qq --no-install-recommends slurm-wlm munge > /tmp/apt.log 2>&1 ||
  { tail -5 /tmp/apt.log; exit 1; }

# The daemons know each other by a key.
install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge /etc/munge
[ -s /etc/munge/munge.key ] || head -c 1024 /dev/urandom > /etc/munge/munge.key
chown munge:munge /etc/munge/munge.key
chmod 400 /etc/munge/munge.key
chmod 755 /run/munge
su munge -s /bin/sh -c 'munged --force'

mkdir -p /etc/slurm /var/spool/slurmctld /var/spool/slurmd /var/log/slurm
cat > /etc/slurm/slurm.conf << CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldLogFile=/var/log/slurm/ctld.log
SlurmdLogFile=/var/log/slurm/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
JobRequeue=1
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=6000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
printf 'CgroupPlugin=cgroup/v1\nIgnoreSystemd=yes\n' > /etc/slurm/cgroup.conf
grep -q " $host" /etc/hosts || echo "127.0.0.1 $host" >> /etc/hosts
slurmctld
slurmd
for _ in $(seq 60); do
  [ "$(sinfo --noheader --format=%T)" = idle ] && break
  sleep 1
done
if [ "$(sinfo --noheader --format=%T)" != idle ]; then
  sinfo --Node --long
  tail -5 /var/log/slurm/*.log
  exit 1
fi
cd "$REPOSITORY"
"$PYTHON" -m tests.cluster.check_slurm --folder=/tmp/check
