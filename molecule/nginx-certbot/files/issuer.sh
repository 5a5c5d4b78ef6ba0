#!/bin/sh
# Makes in /opt/issuer what an issuer that offers OCSP has: a root, an intermediate that issues a certificate for the name
# given as $1, and a certificate for the responder alone, as large issuers have. No module can name a responder.
set -eu
mkdir /opt/issuer
cd /opt/issuer

issue() { # name subject issuer extension...
    name=$1 subject=$2 issuer=$3
    shift 3
    signed=""
    [ "$issuer" = "$name" ] || signed="-CA $issuer.pem -CAkey $issuer.key"
    for extension in "$@"; do set -- "$@" -addext "$extension"; shift; done
    # shellcheck disable=SC2086 # Several words, or none.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj "/CN=$subject" \
        -keyout "$name.key" -out "$name.pem" $signed "$@"
}

issue root "a root" root keyUsage=critical,keyCertSign
issue intermediate "an intermediate" root basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign
issue responder "a responder" intermediate basicConstraints=CA:FALSE extendedKeyUsage=OCSPSigning
issue site "$1" intermediate basicConstraints=CA:FALSE "subjectAltName=DNS:$1" \
    "authorityInfoAccess=OCSP;URI:http://127.0.0.1:8888"
cat site.pem intermediate.pem > fullchain.pem

# What `openssl ocsp` answers from: this serial number is valid.
printf 'V\t%s\t\t%s\tunknown\t/CN=%s\n' "$(date -ud '+30 days' +%y%m%d%H%M%SZ)" \
    "$(openssl x509 -in site.pem -noout -serial | cut -d= -f2)" "$1" > index
