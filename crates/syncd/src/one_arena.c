/* The allocator of glibc gives each thread a part of memory of its own, and each part keeps most of what it ever held: a
 * fetch whose rows are made in one thread and dropped in another takes a quarter more memory, and the more the longer it
 * runs and the more threads there are. One part for all costs no time that could be measured, since Kombo's rate limit
 * lets few rows through. Whoever sets another number in the environment gets that. */
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
