# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""What tests of zcrxd do in the VM: functions for its shell, and what they print."""
import re

# say NAME COMMAND...: runs it, and prints "=NAME STATUS" and the output
FUNCTIONS = '''
say() {
    name=$1
    shift
    "$@" > /tmp/out 2>&1
    echo "=$name $?"
    cat /tmp/out
}
state() {
    for option in x g n k l c; do
        ethtool -$option eth0
    done
    ls /run/zcrx 2> /dev/null
}
state_is_back() {
    state > /tmp/now 2>&1
    cmp /tmp/found /tmp/now
}
# Until it says so, but no longer than a minute
wait_for() {
    tries=0
    until "$@" > /dev/null 2>&1 || [ $tries = 300 ]; do
        sleep 0.2
        tries=$((tries + 1))
    done
}
'''


def parse_results(vm):
    """Of a VM that has ended, (status, text) by name; "vm" is the VM itself."""
    found = re.findall(r'^=([\w-]+) (\d+)\n(.*?)(?=^=|\Z)', vm.stdout, re.M | re.S)
    return {'vm': (vm.returncode, vm.stdout),
            **{name: (int(status), text) for name, status, text in found}}
