// keccak256, as contracts use it.
#ifndef KECCAK_H
#define KECCAK_H
#include <stddef.h>
#include <stdint.h>
void keccak256(const uint8_t *data, size_t size, uint8_t digest[32]);
#endif
