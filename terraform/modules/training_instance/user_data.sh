#!/bin/bash
# Installs what training needs into /opt/kennel/venv; /opt/kennel/status says how far it is.
set -euo pipefail
exec >/var/log/kennel-setup.log 2>&1

mkdir -p /opt/kennel
echo installing >/opt/kennel/status
trap 'echo "failed: see /var/log/kennel-setup.log" >/opt/kennel/status' ERR

dnf install -y python${python} python${python}-pip
python${python} -m venv /opt/kennel/venv
%{ if install_from == "wheelhouse" ~}
aws s3 sync --only-show-errors ${wheelhouse_uri} /opt/kennel/wheelhouse/
/opt/kennel/venv/bin/pip install --no-cache-dir --no-index --find-links /opt/kennel/wheelhouse ${packages}
%{ else ~}
/opt/kennel/venv/bin/pip install --no-cache-dir ${packages}
%{ endif ~}

echo ready >/opt/kennel/status
