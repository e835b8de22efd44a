#!/bin/sh
# Makes what is missing of the secrets that docker-compose.yml hands out: sh deploy/secrets.sh [FOLDER]
# The folder is closed to other people of this machine. The files are not: a container's user is another than ours.
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

make() {  # NAME COMMAND...: what the command prints, in a file that is whole or not there
    name=$1
    shift
    [ -s "$folder/$name" ] && return
    "$@" > "$folder/.$name"
    chmod 444 "$folder/.$name"
    mv "$folder/.$name" "$folder/$name"
}
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
fernet() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }
users() { printf '{"admin": "%s"}\n' "$(random)"; }

for name in postgres_password database_password s3_secret_key api_secret airflow_database_password airflow_jwt_secret; do
    make "$name" random
done
make airflow_fernet_key fernet
make airflow_users users
