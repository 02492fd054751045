# LDIF of ldapsearch to COPY's text: tenant, address, kind, entry.  awk -v tenant=N; LC_ALL=C
# The rules are the worker's as far as these directories need them: smtp values only, lower case, no blanks at the end.

function decoded(text,   i, count, bits, out) {   # base64, which LDIF uses for odd values alone
    for (i = 1; i <= length(text); i++) {
        if (!(substr(text, i, 1) in value)) break
        count = count * 64 + value[substr(text, i, 1)]; bits += 6
        if (bits >= 8) { bits -= 8; out = out sprintf("%c", int(count / 2 ^ bits)); count = count % (2 ^ bits) }
    }
    return out
}
function flush(   i) {
    for (i = 1; i <= found; i++) print tenant, address[i], kind[i], id
    found = 0
}
BEGIN {
    OFS = "\t"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for (i = 1; i <= 64; i++) value[substr(letters, i, 1)] = i - 1
}
/^proxyAddresses:/ {
    v = $0
    if (v ~ /^proxyAddresses::/) v = decoded(substr(v, 18)); else v = substr(v, 17)
    prefix = substr(v, 1, 5)
    if (prefix != "SMTP:" && tolower(prefix) != "smtp:") next
    v = tolower(substr(v, 6)); sub(/ +$/, "", v)
    address[++found] = v; kind[found] = prefix == "SMTP:" ? 0 : 1
}
/^entryUUID:/ { id = $2 }
/^dn:/ { flush() }
END { flush() }
