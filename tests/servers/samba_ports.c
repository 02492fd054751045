/* Moves the listeners of a Samba domain controller to ports that need no privilege: no setting changes them, and it
 * tells by the number which of them speaks TLS. Preloaded into the one process; its environment says where to.
 * The global catalogue's listeners go anywhere: nobody asks them. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct { int number; const char *moved; } PORTS[] = {
    {389, "SAMBA_LDAP_PORT"}, {636, "SAMBA_LDAPS_PORT"}, {3268, NULL}, {3269, NULL},
};
#define COUNT (sizeof PORTS / sizeof *PORTS)

static int moved(size_t at)
{
    const char *to = PORTS[at].moved ? getenv(PORTS[at].moved) : NULL;
    return to ? atoi(to) : 0;
}

int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    int (*original)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_in changed;

    if (address->sa_family != AF_INET || size != sizeof changed)
        return original(fd, address, size);
    memcpy(&changed, address, sizeof changed);
    for (size_t at = 0; at < COUNT; at++)
        if (ntohs(((const struct sockaddr_in *)address)->sin_port) == PORTS[at].number)
            changed.sin_port = htons(moved(at));
    return original(fd, (struct sockaddr *)&changed, sizeof changed);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    int (*original)(int, struct sockaddr *, socklen_t *) = dlsym(RTLD_NEXT, "getsockname");
    int result = original(fd, address, size);
    struct sockaddr_in *found = (struct sockaddr_in *)address;

    if (result != 0 || address->sa_family != AF_INET)
        return result;
    for (size_t at = 0; at < COUNT; at++)
        if (PORTS[at].moved && ntohs(found->sin_port) == moved(at)) {
            found->sin_port = htons(PORTS[at].number);
            break;
        }
    return result;
}
