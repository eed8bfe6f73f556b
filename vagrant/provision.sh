#!/bin/sh
# Provision one machine: provision.sh master|agent OWN_IP MASTER_IP RACK
#
# Installs by the same code as `esaas local`, then runs the daemon as a systemd service. Idempotent.
set -eu

kind=$1 own_ip=$2 master_ip=$3 rack=$4
zk="zk://$master_ip:2181/mesos"
python=/opt/esaas/bin/python
state=/var/lib/esaas-mesos

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends python3-venv

if [ ! -x "$python" ]; then
    python3 -m venv /opt/esaas
fi
/opt/esaas/bin/pip install -q /esaas/packaging/http-parser
/opt/esaas/bin/pip install -q "/esaas[local]"

/opt/esaas/bin/esaas local doctor --install --for mesos --for elasticsearch
library=$(/opt/esaas/bin/esaas local fetch mesos)
"$python" -c "from esaas.local.requirements import ensure_user
from esaas.local.settings import Settings
ensure_user(Settings.load())"
# Elasticsearch refuses to bind to a real address with less.
echo vm.max_map_count=262144 > /etc/sysctl.d/60-esaas.conf
sysctl -q --system
mkdir -p "$state/executor-cache"
chown esaas:esaas "$state/executor-cache"

service() {  # service NAME COMMAND: the environment file is $state/NAME.env
    cat > "/etc/systemd/system/$1.service" <<UNIT
[Unit]
Description=$1 of the ESAAS test data centre
After=network-online.target
Wants=network-online.target
[Service]
EnvironmentFile=$state/$1.env
ExecStart=$2
Restart=always
RestartSec=2
# Executors outlive their agent; a master that loses the lead exits and is started again.
KillMode=process
LimitNOFILE=65536
[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload
    systemctl enable "$1"
    systemctl restart "$1"
}

if [ "$kind" = master ]; then
    /opt/esaas/bin/esaas local doctor --install --for zookeeper
    apt-get install -y -q --no-install-recommends zookeeperd
    cat > "$state/mesos-master.env" <<ENV
MESOS_IP=$own_ip
MESOS_HOSTNAME=$own_ip
MESOS_ZK=$zk
MESOS_QUORUM=1
MESOS_WORK_DIR=$state/master
ENV
    service mesos-master "$python -I -m esaas.local.embedded master $library"
else
    java=$(readlink -f /usr/bin/java)
    cat > "$state/mesos-agent.env" <<ENV
MESOS_IP=$own_ip
MESOS_HOSTNAME=$(hostname)
MESOS_MASTER=$zk
MESOS_WORK_DIR=$state/agent
MESOS_RUNTIME_DIR=/run/mesos
MESOS_ATTRIBUTES=rack:$rack
MESOS_RESOURCES=ports:[31000-31999]
MESOS_SWITCH_USER=true
MESOS_ISOLATION=posix/cpu,posix/mem
MESOS_EXECUTOR_REREGISTRATION_TIMEOUT=15secs
MESOS_EXECUTOR_ENVIRONMENT_VARIABLES='{"PATH":"/usr/sbin:/usr/bin:/sbin:/bin","LANG":"C.UTF-8","JAVA_HOME":"${java%/bin/java}","ESAAS_CACHE_DIR":"$state/executor-cache"}'
ENV
    service mesos-agent "$python -I -m esaas.local.embedded agent $library"
fi
