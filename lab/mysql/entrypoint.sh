#!/bin/bash
# Starts MySQL in a container, with the interface of the official image:
# MYSQL_ROOT_PASSWORD, MYSQL_DATABASE, MYSQL_USER, MYSQL_PASSWORD; port 3306.
# Further arguments go to mysqld.
set -euo pipefail

datadir=/var/lib/mysql
socket=/run/mysqld/mysqld.sock
mkdir -p "$datadir" /run/mysqld
chown mysql:mysql "$datadir" /run/mysqld

quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }

if [ ! -d "$datadir/mysql" ]; then
    : "${MYSQL_ROOT_PASSWORD:?set MYSQL_ROOT_PASSWORD}"
    mysqld --no-defaults --initialize-insecure --user=mysql --datadir="$datadir"
    init=$(mktemp)
    {
        echo "CREATE USER 'root'@'%' IDENTIFIED BY $(quote "$MYSQL_ROOT_PASSWORD");"
        echo "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
        echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(quote "$MYSQL_ROOT_PASSWORD");"
        if [ -n "${MYSQL_DATABASE:-}" ]; then
            echo "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;"
        fi
        if [ -n "${MYSQL_USER:-}" ]; then
            echo "CREATE USER $(quote "$MYSQL_USER")@'%' IDENTIFIED BY $(quote "${MYSQL_PASSWORD:?}");"
            echo "GRANT ALL ON \`${MYSQL_DATABASE:-$MYSQL_USER}\`.* TO $(quote "$MYSQL_USER")@'%';"
        fi
    } >"$init"
    chown mysql:mysql "$init"
    set -- --init-file="$init" "$@"
fi

exec mysqld --no-defaults --user=mysql --datadir="$datadir" --socket="$socket" \
    --bind-address=0.0.0.0 --mysqlx=OFF --character-set-server=utf8mb4 "$@"
