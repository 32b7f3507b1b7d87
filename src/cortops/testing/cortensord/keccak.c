// keccak256 (the original padding, not that of SHA-3): rate 136 bytes, 24 rounds.
#include "keccak.h"
#include <string.h>

#define TURN(x, n) (((x) << (n)) | ((x) >> (64 - (n))))
enum { RATE = 136, ROUNDS = 24 };

static int lfsr_bit(uint8_t *state) {  // the round constants' bits
  int bit = *state & 1;
  *state = (*state & 0x80) ? (uint8_t)((*state << 1) ^ 0x71) : (uint8_t)(*state << 1);
  return bit;
}

static void permute(uint64_t a[25]) {
  uint8_t lfsr = 1;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t c[5], t;
    for (int x = 0; x < 5; x++) c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    for (int x = 0; x < 5; x++) {
      uint64_t d = c[(x + 4) % 5] ^ TURN(c[(x + 1) % 5], 1);
      for (int y = 0; y < 25; y += 5) a[x + y] ^= d;
    }
    int x = 1, y = 0, turn = 0;
    t = a[1];
    for (int step = 0; step < 24; step++) {
      int next = (2 * x + 3 * y) % 5;
      x = y;
      y = next;
      turn = (turn + step + 1) % 64;
      uint64_t kept = a[x + 5 * y];
      a[x + 5 * y] = turn ? TURN(t, turn) : t;
      t = kept;
    }
    for (y = 0; y < 25; y += 5) {
      for (x = 0; x < 5; x++) c[x] = a[x + y];
      for (x = 0; x < 5; x++) a[x + y] = c[x] ^ (~c[(x + 1) % 5] & c[(x + 2) % 5]);
    }
    for (int j = 0; j < 7; j++)
      if (lfsr_bit(&lfsr)) a[0] ^= 1ULL << ((1 << j) - 1);
  }
}

void keccak256(const uint8_t *data, size_t size, uint8_t digest[32]) {
  uint64_t a[25] = {0};
  uint8_t block[RATE];
  for (int last = 0; !last;) {
    size_t part = size < RATE ? size : RATE;
    last = size < RATE;
    memcpy(block, data, part);
    if (last) {
      memset(block + part, 0, RATE - part);
      block[part] = 1;
      block[RATE - 1] |= 0x80;
    }
    for (int i = 0; i < RATE; i++) a[i / 8] ^= (uint64_t)block[i] << (8 * (i % 8));
    permute(a);
    data += part;
    size -= part;
  }
  for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(a[i / 8] >> (8 * (i % 8)));
}
