/* The allocator of glibc gives each thread an arena of its own, and each arena keeps most of what it ever held: a fetch
 * whose rows are made in one thread and dropped in another takes more memory the longer it runs and the more threads there
 * are. One arena for all took a quarter less, and as much time on two processors; on more of them threads might wait for
 * each other, if Kombo's rate limit let enough rows through. Whoever sets another number in the environment gets that. */
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>

__attribute__((constructor)) static void one_arena(void)
{
    const char *tunables = getenv("GLIBC_TUNABLES");
    if (getenv("MALLOC_ARENA_MAX") == NULL && (tunables == NULL || strstr(tunables, "glibc.malloc.arena_max") == NULL))
        mallopt(M_ARENA_MAX, 1);
}
#endif
