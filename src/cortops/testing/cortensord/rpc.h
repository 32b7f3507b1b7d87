// JSON-RPC over plain HTTP, and contract calls as hexadecimal text.
#ifndef RPC_H
#define RPC_H
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_MAX = 1 << 20, CALL_MAX = 1 << 14 };

// Sends `body` to an http://IPv4:PORT/ address; the whole reply's JSON in `answer`. 0, or -1 with the reason in `answer`.
int rpc_post(const char *url, const char *body, char answer[ANSWER_MAX]);
// The text of "result" (quotes removed, cut at `max`); -1 when the answer has none, or an error.
int rpc_result(const char *answer, char *result, size_t max);
// eth_call and eth_sendTransaction from `from`; the result's text as above. gas_price_wei 0: left to the chain.
int rpc_call(const char *url, const char *from, const char *to, const char *data, char *result, size_t max);
int rpc_send(const char *url, const char *from, const char *to, const char *data, uint64_t gas_price_wei, char *result, size_t max);

// 4 bytes of a signature's hash as 0x12345678, at the start of `call`; then words and texts are appended.
void call_begin(char *call, const char *signature);
void call_number(char *call, uint64_t number);
void call_word(char *call, const uint8_t word[32]);
void call_text(char *call, const char *text);  // length and padded bytes: what stands in a call's tail
// Word `at` of a result 0x..., as a number (its low 64 bits), or where the result is too short 0.
uint64_t word_at(const char *result, size_t at);
void address_at(const char *result, size_t at, char address[43]);
void topic_of(const char *signature, char topic[67]);
#endif
