/*
 * Tells glibc's allocator, before `main`, to give large blocks back to the system as soon as they are freed. Its own
 * rule raises the border between blocks from the heap and blocks from the system to the largest that was freed, up to
 * 32 MiB, and keeps twice as much at the end of each heap, of which every thread has one: a record of 15 MiB that has
 * gone through eight threads stays resident eight times. Rust has no safe call for it.
 */

#include <malloc.h>

/* Above what pages of usual size take for a column: those blocks are used again and again. */
#define LARGE_BLOCK_BYTES (4 << 20)

__attribute__((constructor)) static void give_large_blocks_back(void) {
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
    mallopt(M_TRIM_THRESHOLD, LARGE_BLOCK_BYTES);
}
