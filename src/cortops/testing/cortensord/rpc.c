// See rpc.h. No TLS: a node whose RPC is https:// gets no answer here, as from an RPC that is down.
#define _GNU_SOURCE
#include "rpc.h"
#include "keccak.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 5 };

static int dial(const char *url, const char **path) {
  char host[128] = "";
  int port = 80, taken = 0;
  if (sscanf(url, "http://%127[^:/]:%d%n", host, &port, &taken) < 2 && sscanf(url, "http://%127[^:/]%n", host, &taken) < 1) return -1;
  *path = url[taken] ? url + taken : "/";
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &to.sin_addr) != 1) return -1;
  int link = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct timeval limit = {.tv_sec = TIMEOUT_S};
  setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(link, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(link, (struct sockaddr *)&to, sizeof to) == 0) return link;
  int why = errno;
  close(link);
  errno = why;
  return -1;
}

int rpc_post(const char *url, const char *body, char answer[ANSWER_MAX]) {
  static char sent[CALL_MAX + 512];
  const char *path = "/";
  errno = 0;
  int link = dial(url, &path);
  if (link < 0) {
    snprintf(answer, ANSWER_MAX, "%s", errno ? strerror(errno) : "no plain HTTP address");
    return -1;
  }
  int size = snprintf(sent, sizeof sent,
    "POST %s HTTP/1.1\r\nHost: rpc\r\nUser-Agent: cortensord/" BUILD "\r\nContent-Type: application/json\r\nConnection: close\r\n"
    "Content-Length: %zu\r\n\r\n%s", path, strlen(body), body);
  size_t got = 0;
  if (send(link, sent, (size_t)size, MSG_NOSIGNAL) == size)
    for (ssize_t part; got < ANSWER_MAX - 1 && (part = recv(link, answer + got, ANSWER_MAX - 1 - got, 0)) > 0;) got += (size_t)part;
  close(link);
  answer[got] = 0;
  char *start = strstr(answer, "\r\n\r\n");
  if (!start) {
    snprintf(answer, ANSWER_MAX, "no reply");
    return -1;
  }
  memmove(answer, start + 4, strlen(start + 4) + 1);
  return 0;
}

int rpc_result(const char *answer, char *result, size_t max) {
  const char *at = strstr(answer, "\"result\":");
  if (!at) return -1;
  at += strlen("\"result\":");
  while (*at == ' ') at++;
  if (*at != '"') return -1;
  const char *end = strchr(++at, '"');
  if (!end) return -1;
  size_t size = (size_t)(end - at) < max - 1 ? (size_t)(end - at) : max - 1;
  memcpy(result, at, size);
  result[size] = 0;
  return 0;
}

static int ask(const char *url, const char *method, const char *parameters, char *result, size_t max) {
  static char body[CALL_MAX], answer[ANSWER_MAX];
  snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":[%s]}", method, parameters);
  if (rpc_post(url, body, answer) < 0 || rpc_result(answer, result, max) < 0) {
    snprintf(result, max, "%.200s", answer);
    return -1;
  }
  return 0;
}

int rpc_call(const char *url, const char *from, const char *to, const char *data, char *result, size_t max) {
  static char parameters[CALL_MAX];
  snprintf(parameters, sizeof parameters, "{\"from\":\"%s\",\"to\":\"%s\",\"data\":\"%s\"},\"latest\"", from, to, data);
  return ask(url, "eth_call", parameters, result, max);
}

int rpc_send(const char *url, const char *from, const char *to, const char *data, uint64_t gas_price_wei, char *result, size_t max) {
  static char parameters[CALL_MAX];
  char price[64] = "";
  if (gas_price_wei) snprintf(price, sizeof price, ",\"gasPrice\":\"0x%llx\"", (unsigned long long)gas_price_wei);
  // More gas than an estimate: the last miner of a round pays for its end too, and who is last shows when it is mined.
  snprintf(parameters, sizeof parameters, "{\"from\":\"%s\",\"to\":\"%s\",\"data\":\"%s\",\"gas\":\"0x1e8480\"%s}", from, to, data, price);
  return ask(url, "eth_sendTransaction", parameters, result, max);
}

static void append_hex(char *text, const uint8_t *bytes, size_t size) {
  char *end = text + strlen(text);
  for (size_t i = 0; i < size; i++) end += sprintf(end, "%02x", bytes[i]);
}

void call_begin(char *call, const char *signature) {
  uint8_t digest[32];
  keccak256((const uint8_t *)signature, strlen(signature), digest);
  strcpy(call, "0x");
  append_hex(call, digest, 4);
}

void topic_of(const char *signature, char topic[67]) {
  uint8_t digest[32];
  keccak256((const uint8_t *)signature, strlen(signature), digest);
  strcpy(topic, "0x");
  append_hex(topic, digest, 32);
}

void call_word(char *call, const uint8_t word[32]) { append_hex(call, word, 32); }

void call_number(char *call, uint64_t number) { sprintf(call + strlen(call), "%064llx", (unsigned long long)number); }

void call_text(char *call, const char *text) {
  size_t size = strlen(text);
  call_number(call, size);
  append_hex(call, (const uint8_t *)text, size);
  for (size_t i = size; i % 32; i++) strcat(call, "00");
}

uint64_t word_at(const char *result, size_t at) {
  if (strlen(result) < 2 + 64 * (at + 1)) return 0;
  char digits[17] = "";
  memcpy(digits, result + 2 + 64 * at + 48, 16);
  return strtoull(digits, NULL, 16);
}

void address_at(const char *result, size_t at, char address[43]) {
  strcpy(address, "0x");
  if (strlen(result) >= 2 + 64 * (at + 1)) strncat(address, result + 2 + 64 * at + 24, 40);
}
