#!/bin/sh
# Makes a password for every user of deploy/, and writes into a folder:
#   definitions.json  for RabbitMQ's `load_definitions`, with the hashes of the passwords
#   users.acl         for Redis' `aclfile`, with the hashes of the passwords
#   USER.amqp-url, USER.redis-url   the address of each server for each user
#
#   sh deploy/secrets.sh FOLDER
#
# AMQP_HOST (rabbitmq:5672) and REDIS_HOST (redis:6379) say where the servers are. The folder must
# not exist: remove it for new passwords. Needs openssl and sed.
set -eu

folder=${1:?name the folder to write, such as deploy/secrets}
amqp_host=${AMQP_HOST:-rabbitmq:5672}
redis_host=${REDIS_HOST:-redis:6379}
here=$(dirname "$0")

if [ -e "$folder" ]; then
    echo "$folder exists: remove it for new passwords, or name another folder" >&2
    exit 1
fi
# Other users of this machine do not get in. A container's user must be able to read each file.
mkdir -m 700 "$folder"
umask 022
cp "$here/rabbitmq/definitions.json" "$here/redis/users.acl" "$folder/"

fill() { # FILE PLACEHOLDER VALUE
    sed "s|$2|$3|" "$folder/$1" >"$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
}

for user in producer bridge executor api operator admin; do
    name=$(echo "$user" | tr '[:lower:]' '[:upper:]')
    password=$(openssl rand -hex 24)
    # RabbitMQ's own form: base64 of a salt of 4 bytes and of SHA-256 over salt and password.
    salt=$(openssl rand -hex 2)
    digest=$(printf %s "$salt$password" | openssl dgst -sha256 -binary | openssl base64 -A)
    hash=$({ printf %s "$salt"; printf %s "$digest" | openssl base64 -d -A; } | openssl base64 -A)
    fill definitions.json "\"${name}_PASSWORD_HASH\"" "\"$hash\""
    sha256=$(printf %s "$password" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
    fill users.acl "#${name}_PASSWORD_SHA256" "#$sha256"
    case $user in
        producer | bridge | api | operator)
            echo "amqp://upshot-$user:$password@$amqp_host/upshot" >"$folder/$user.amqp-url" ;;
    esac
    case $user in
        bridge | executor | api | operator | admin)
            echo "redis://upshot-$user:$password@$redis_host/0" >"$folder/$user.redis-url" ;;
    esac
done
echo "$folder is written: see deploy/README.md for what reads each file"
