#!/usr/bin/env bash
# Makes the key stores beside it with OpenSSL and Java's keytool. What they hold is of no use but to be read.
# Passwords: storepw for stores, keypass for keys.
set -euo pipefail
cd "$(dirname "$0")"
rm -f ./*.pem ./*.p12 ./*.jks
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca.key" -out ca.pem -subj '/CN=Klamm test CA' -days 36500 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/csr" -subj '/CN=alice' 2>/dev/null
openssl x509 -req -in "$work/csr" -CA ca.pem -CAkey "$work/ca.key" -CAcreateserial -CAserial "$work/serial" -days 36500 -out "$work/cert.pem" 2>/dev/null
cat "$work/cert.pem" ca.pem >"$work/chain.pem"
# A broker's own.
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/broker.key" -out "$work/csr" -subj '/CN=broker' 2>/dev/null
openssl x509 -req -in "$work/csr" -CA ca.pem -CAkey "$work/ca.key" -CAserial "$work/serial" -days 36500 -extfile <(echo subjectAltName=DNS:localhost) -out "$work/broker.crt" 2>/dev/null
cat "$work/broker.key" "$work/broker.crt" ca.pem >broker.pem
# PEM: the key plain, encrypted as OpenSSL does by default, and with each hash and cipher that is read.
cat "$work/key.pem" "$work/chain.pem" >plain.pem
i=0
for way in '-v2 aes-256-cbc -v2prf hmacWithSHA256' '-v2 aes-128-cbc -v2prf hmacWithSHA1' '-v2 aes-192-cbc -v2prf hmacWithSHA512' '-v2 des3' '-v1 PBE-SHA1-3DES'; do
    i=$((i + 1))
    openssl pkcs8 -topk8 -in "$work/key.pem" $way -passout pass:keypass -out "$work/encrypted.pem"
    cat "$work/encrypted.pem" "$work/chain.pem" >"encrypted-$i.pem"
done
# PKCS#12 as OpenSSL writes it today, as it did before 2021, and a trust store without a mark.
pkcs12() { openssl pkcs12 -export -passout pass:storepw "$@"; }
pkcs12 -inkey "$work/key.pem" -in "$work/cert.pem" -certfile ca.pem -name alice -out openssl.p12
pkcs12 -legacy -inkey "$work/key.pem" -in "$work/cert.pem" -certfile ca.pem -name alice -out openssl-legacy.p12
pkcs12 -nokeys -in ca.pem -out openssl-trust.p12
# Java's stores, from the above. JKS may have a password of its own for a key.
tool() { keytool -noprompt "$@" 2>/dev/null; }
tool -importkeystore -srckeystore openssl.p12 -srcstorepass storepw -destkeystore java.p12 -deststoretype PKCS12 -deststorepass storepw
tool -importkeystore -srckeystore openssl.p12 -srcstorepass storepw -destkeystore java.jks -deststoretype JKS -deststorepass storepw -srcalias alice -destkeypass keypass
tool -importcert -file ca.pem -alias ca -keystore java-trust.p12 -storetype PKCS12 -storepass storepw
tool -importcert -file ca.pem -alias ca -keystore java-trust.jks -storetype JKS -storepass storepw
tool -J-Dkeystore.pkcs12.legacy -importkeystore -srckeystore openssl.p12 -srcstorepass storepw -destkeystore java-legacy.p12 -deststoretype PKCS12 -deststorepass storepw
