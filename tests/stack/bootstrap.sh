#!/bin/sh
# Makes a bare Debian 12 able to run the stack and the checks: packages that are missing, then .venv.
# A second call finds all of it and returns at once. POSIX sh: nothing else can be counted on yet.
set -eu
cd "$(dirname "$0")/../.."

PACKAGES="slapd ldap-utils rabbitmq-server postgresql postgresql-client openssl procps ca-certificates
samba samba-ad-provision samba-dsdb-modules 389-ds-base gcc libc6-dev libldap2-dev libsasl2-dev python3-dev python3-venv"
MAIL_PACKAGES="postfix postfix-pgsql"
TRIES=3

say() { printf '%s\n' "$*" >&2; }
fail() { say "bootstrap: $*"; exit 1; }

# again WHAT COMMAND...: a mirror may be busy for a moment, so three tries
again() {
    what=$1; shift; try=1
    until "$@"; do
        [ "$try" -lt "$TRIES" ] || fail "$what failed $TRIES times; the last words are above"
        say "bootstrap: $what failed, trying again in $((try * 5)) s"
        sleep $((try * 5)); try=$((try + 1))
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo > /dev/null; then sudo "$@"
    else fail "these packages are missing and it takes root or sudo to install them: $missing"
    fi
}

is_installed() {
    # shellcheck disable=SC2016 # dpkg's own format
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

# A machine has one mail server: Postfix would push out the one that is there. Then the tests that need it are skipped.
has_other_mail_server() {
    # shellcheck disable=SC2016 # dpkg's own format
    ! is_installed postfix &&
        dpkg-query -W -f '${db:Status-Status} ${Provides}\n' | grep -q '^installed .*mail-transport-agent'
}

missing_packages() {
    for package in $PACKAGES $MAIL_PACKAGES; do
        is_installed "$package" || printf '%s ' "$package"
    done
}

# Debian starts a server when its package is installed, and again at boot. Neither is wanted: the
# stack starts its own. What somebody set up before us stays as it is.
POLICY=/usr/sbin/policy-rc.d
install_packages() {
    say "bootstrap: installing $missing"
    [ ! -e "$POLICY" ] || ! grep -q rollcall-bootstrap "$POLICY" || as_root rm -f "$POLICY" # of a run that was cut
    made_policy=
    if [ ! -e "$POLICY" ]; then
        made_policy=yes
        trap 'as_root rm -f "$POLICY"' EXIT
        trap 'exit 130' INT TERM HUP
        printf '#!/bin/sh\n# rollcall-bootstrap: no server starts while packages are installed\nexit 101\n' |
            as_root tee "$POLICY" > /dev/null
        as_root chmod 755 "$POLICY"
    fi
    # else it asks what kind of mail server this machine is to be, and takes silence for an answer
    case " $missing" in *" postfix "*)
        echo "postfix postfix/main_mailer_type select No configuration" | as_root debconf-set-selections ;;
    esac
    again "apt-get update" as_root apt-get update -q -o Acquire::Retries=3 >&2
    # shellcheck disable=SC2086 # a list
    again "apt-get install" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -yq --no-install-recommends -o Acquire::Retries=3 $missing >&2
    for service in slapd rabbitmq-server postgresql postfix samba:smbd samba:nmbd samba:samba-ad-dc; do
        case " $missing" in *" ${service%:*} "*)
            as_root update-rc.d "${service#*:}" disable > /dev/null 2>&1 || : ;; esac
    done
    [ -z "$made_policy" ] || { as_root rm -f "$POLICY"; trap - EXIT INT TERM HUP; }
}

if command -v dpkg-query > /dev/null; then
    ! has_other_mail_server || MAIL_PACKAGES=
    missing=$(missing_packages)
    [ -z "$missing" ] || install_packages
else
    say "bootstrap: not Debian: taking for granted what these packages hold: $(echo $PACKAGES $MAIL_PACKAGES)"
fi

# The stack alone needs no environment of Python packages.
[ "${1:-}" != packages ] || exit 0

PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed: PYTHON=... make"

# What the environment was made from: checkout, Python and what pyproject.toml asks to be installed
# (not the checkers' settings, which change more often). A moved checkout or another Python starts anew.
base="$(pwd) $("$PYTHON" -c 'import sys; print(sys.base_prefix, *sys.version_info[:3])')"
wanted=$("$PYTHON" -c 'import hashlib, tomllib
whole = tomllib.load(open("pyproject.toml", "rb"))
parts = [whole["build-system"], whole["project"], whole["tool"].get("hatch")]
print(hashlib.sha256(repr(parts).encode()).hexdigest())')
if [ "$(cat .venv/.stamp 2> /dev/null)" != "$base $wanted" ]; then
    say "bootstrap: installing the worker and its checks into .venv"
    case "$(cat .venv/.stamp 2> /dev/null)" in
        "$base "*) rm -f .venv/.stamp ;;
        *) "$PYTHON" -m venv --clear .venv ;;
    esac
    again "pip install" .venv/bin/python -m pip install -q --disable-pip-version-check --retries 5 -e '.[dev]' >&2
    printf '%s' "$base $wanted" > .venv/.stamp
fi
