#!/usr/bin/env bash
# One full sync of one directory without any Python: ldapsearch | awk | psql COPY, then one set-based comparison.
# All it needs comes by environment: LDAP_URI BASE READER PASSWORD_FILE FILTER ATTRIBUTES PAGE TENANT RUN and libpq's own.
# Prints the moment (seconds since 1970) at which the directory's last row had been copied.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
{
    # memory for sorts as the worker has it; a sort in the dark of a disk would be no fair race
    echo "BEGIN; SET LOCAL work_mem = '64MB';"
    echo "CREATE TEMP TABLE staging (tenant_id integer, address text COLLATE \"C\", kind smallint, entry_id uuid) ON COMMIT DROP;"
    echo "COPY staging FROM STDIN;"
    ldapsearch -LLL -x -o ldif-wrap=no -H "$LDAP_URI" -D "$READER" -y "$PASSWORD_FILE" -b "$BASE" \
        -E "pr=$PAGE/noprompt" "$FILTER" $ATTRIBUTES |
        LC_ALL=C awk -v tenant="$TENANT" -f "$here/addresses.awk"
    echo '\.'
    echo "SELECT extract(epoch FROM clock_timestamp());"
    cat "$here/compare.sql"
    echo "COMMIT;"
} | psql -q -X -A -t -v ON_ERROR_STOP=1 -v tenant="$TENANT" -v run="$RUN"
