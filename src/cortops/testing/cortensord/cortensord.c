// A stand-in for cortensord, Cortensor's closed node program, which is not available to tests. It keeps its argument line
// (`cortensord ENV-FILE ROLE [1 docker]`, `cortensord ENV-FILE tool VERB`), reads the same env file, appends log lines in the forms that
// the community's parsers read (operators 2.3; no genuine log is public) and, where its RPC is plain HTTP, does a miner's duty on a
// development chain whose accounts are unlocked. It knows no key and runs no model.
//
// Of the build: BUILD names it, so that each build has a hash of its own; MODE is what it does (see enum mode); LOG_FORM is 3 (one line),
// 2 (split) or 1 (legacy). Keys of the env file that are only ours begin with STANDIN_.
#define _GNU_SOURCE
#include "keccak.h"
#include "rpc.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef BUILD
#define BUILD "0"
#endif
#ifndef MODE
#define MODE "good"
#endif
#ifndef LOG_FORM
#define LOG_FORM 3
#endif

enum { KEYS_MAX = 600, TASKS_MAX = 64, TRIES_MAX = 200, BLOCKS_BACK = 200, ROUNDS_BEFORE_DEATH = 2 };
enum { PRECOMMIT = 3, COMMIT = 4, ENDED = 6 };  // states of a network session that the tools prove

enum mode { GOOD, CRASHES, PINGS, DIES };  // earns; ends at its start; earns nothing; earns some rounds, then ends

struct task { uint64_t session, task; int step, tries; };  // step: 0 assigned, 1 acked, 2 precommitted

static struct {
  char *keys[KEYS_MAX], *values[KEYS_MAX];
  int count;
  enum mode mode;
  const char *rpc, *address, *runtime;
  char cognitive[43], queue[43];
  uint64_t gas_price_wei, precommitted, committed, shown_id, shown_state, from_block;
  int pings, precommits, commits, rounds_left;
  struct task tasks[TASKS_MAX];
} node;

static volatile sig_atomic_t stopping;
static const char *build = "cortensord-stand-in " BUILD " " MODE;  // stands in the file, so that two builds never have one hash

static void stop(int signal) {
  (void)signal;
  stopping = 1;
}

static void say(const char *form, ...) {
  va_list values;
  va_start(values, form);
  vprintf(form, values);
  va_end(values);
  putchar('\n');
  fflush(stdout);
}

static const char *setting(const char *key, const char *otherwise) {
  for (int i = node.count; i-- > 0;)
    if (!strcmp(node.keys[i], key) && *node.values[i]) return node.values[i];
  return otherwise;
}

static long number(const char *key, long otherwise) { return strtol(setting(key, ""), NULL, 10) ?: otherwise; }

// KEY=value, KEY="value", KEY='value', export KEY=value; # begins a comment at the start of a line or after a blank.
static int read_env(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) return -1;
  char line[4096];
  while (node.count < KEYS_MAX && fgets(line, sizeof line, file)) {
    char *key = line + strspn(line, " \t"), *equals, *end;
    if (!strncmp(key, "export ", 7)) key += 7;
    if (*key == '#' || !(equals = strchr(key, '='))) continue;
    *equals = 0;
    char *value = equals + 1 + strspn(equals + 1, " \t");
    if ((*value == '"' || *value == '\'') && (end = strchr(value + 1, *value))) value++;
    else if (!(end = strstr(value, " #"))) end = value + strlen(value);
    while (end > value && strchr(" \t\r\n", end[-1])) end--;
    *end = 0;
    node.keys[node.count] = strdup(key);
    node.values[node.count++] = strdup(value);
  }
  fclose(file);
  return 0;
}

static void traceback(const char *why) {
  say("Traceback (most recent call last):\n  File \"agent.py\", line 214, in run\n  File \"miner.py\", line 88, in step\n%s", why);
}

static int own(const char *address) { return strcasecmp(address, node.address) == 0; }

static void show_event(const char *name) {
  say("* Event: %s", name);
  say("Event Stats: {'Ping': %d, 'Precommit': %d, 'Commit': %d}", node.pings, node.precommits, node.commits);
}

static void show_state(uint64_t id, uint64_t state) {
#if LOG_FORM == 3
  say("\x1b[92m* Latest ID: %llu / Latest State: %llu\x1b[0m", (unsigned long long)id, (unsigned long long)state);
#elif LOG_FORM == 2
  say("* Latest ID: %llu\n* Latest State: %llu", (unsigned long long)id, (unsigned long long)state);
#else
  say("Session ID: %llu - State: %llu", (unsigned long long)id, (unsigned long long)state);
#endif
}

static const char *answer_text(uint64_t a, uint64_t b) {
  static char text[160];
  snprintf(text, sizeof text, "%s answers %llu/%llu", node.address, (unsigned long long)a, (unsigned long long)b);
  return text;
}

static void append_hash(char *call, const char *text) {
  uint8_t digest[32];
  keccak256((const uint8_t *)text, strlen(text), digest);
  call_word(call, digest);
}

// Try it without sending, so that nothing which a contract would refuse is ever sent; then send. 0 when it was sent.
static int act(const char *to, const char *call) {
  static char result[2048];
  if (rpc_call(node.rpc, node.address, to, call, result, sizeof result) < 0) return -1;
  if (rpc_send(node.rpc, node.address, to, call, node.gas_price_wei, result, sizeof result) < 0) return -1;
  if (strncmp(call, "0x5c36b186", 10)) say("TX: %s", result);  // ping() leaves no such line
  return 0;
}

static void find_contract(const char *getter, char address[43]) {
  static char call[CALL_MAX], result[256];
  call_begin(call, getter);
  address[0] = 0;
  if (rpc_call(node.rpc, node.address, node.runtime, call, result, sizeof result) == 0 && strlen(result) == 66) address_at(result, 0, address);
  if (!strcmp(address, "0x0000000000000000000000000000000000000000")) address[0] = 0;
}

static void ping(void) {
  static char call[64];
  say("Pinging network...");
  call_begin(call, "ping()");
  if (*node.cognitive && act(node.cognitive, call) == 0) node.pings++;
}

static void end_round(void) {
  if (node.mode == DIES && --node.rounds_left <= 0) {
    traceback("RuntimeError: out of memory");
    exit(1);
  }
}

// Writes the Assigned Miners line of a session and says whether we are one of them.
static int selected(uint64_t id, int show) {
  static char call[CALL_MAX], result[1 << 16], line[1 << 13];
  call_begin(call, "get(uint256)");
  call_number(call, id);
  if (rpc_call(node.rpc, node.address, node.cognitive, call, result, sizeof result) < 0) return 0;
  size_t start = word_at(result, 0) / 32, list = start + word_at(result, start + 8) / 32;
  size_t count = word_at(result, list);
  int found = 0;
  strcpy(line, "Assigned Miners: ");
  for (size_t i = 0; i < count && i < 100; i++) {
    char miner[43];
    address_at(result, list + 1 + i, miner);
    found |= own(miner);
    if (i) strcat(line, ",");
    strcat(line, miner);
  }
  if (show) say("%s", line);
  return found;
}

static void precommit(uint64_t id) {
  static char call[CALL_MAX];
  call_begin(call, "precommit(uint256,bytes32,bytes,uint256)");
  call_number(call, id);
  append_hash(call, answer_text(id, 0));
  call_number(call, 0x80);
  call_number(call, 0);
  call_number(call, 0);
  if (act(node.cognitive, call) == 0) {
    node.precommitted = id;
    node.precommits++;
    show_event("Precommit");
  }
}

static void commit(uint64_t id) {
  static char call[CALL_MAX];
  const char *text = answer_text(id, 0);
  call_begin(call, "commit(uint256,string,bytes,uint256)");
  call_number(call, id);
  call_number(call, 0x80);
  call_number(call, 0x80 + 32 + (strlen(text) + 31) / 32 * 32);
  call_number(call, 0);
  call_text(call, text);
  call_number(call, 0);
  if (act(node.cognitive, call) == 0) {
    node.committed = id;
    node.commits++;
    show_event("Commit");
    end_round();
  }
}

static int serving(void) {  // a user's task: the state line is absent meanwhile
  for (int i = 0; i < TASKS_MAX; i++)
    if (node.tasks[i].task) return 1;
  return 0;
}

static void network_duty(void) {
  static char call[64], result[512];
  call_begin(call, "getLatestSessionInfo()");
  if (rpc_call(node.rpc, node.address, node.cognitive, call, result, sizeof result) < 0) {
    say("Error: RPC: %s", result);
    return;
  }
  uint64_t id = word_at(result, 0), state = word_at(result, 1);
  if (!serving()) show_state(id, state);
  int changed = id != node.shown_id || state != node.shown_state;
  node.shown_id = id;
  node.shown_state = state;
  if (!id) return;
  int mine = selected(id, changed);
  if (changed) {
    say("* Task Mode: NETWORK");
    say("* Node Pool Ephemeral Node Stale: %s", number("STANDIN_STALE", 0) ? "True" : "False");
    say("* Node Pool Reserved Node Stale: False");
  }
  if (!mine || node.mode == PINGS) return;
  if (state == PRECOMMIT && changed) say("Cognitive Level: %ld", number("STANDIN_LEVEL", 3));
  if (state == PRECOMMIT && node.precommitted < id) precommit(id);
  if (state == COMMIT && node.committed < id) commit(id);
}

// TaskAssigned logs since the last look: those that name us become open tasks.
static void find_tasks(void) {
  static char body[1024], answer[ANSWER_MAX];
  char topic[67];
  topic_of("TaskAssigned(uint256,uint256,address[])", topic);
  snprintf(body, sizeof body,
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_getLogs\",\"params\":[{\"fromBlock\":\"0x%llx\",\"toBlock\":\"latest\",\"address\":\"%s\",\"topics\":[\"%s\"]}]}",
    (unsigned long long)node.from_block, node.queue, topic);
  if (rpc_post(node.rpc, body, answer) < 0) return;
  for (char *log = answer; (log = strstr(log, "\"topics\":[\"")); log++) {
    char *data = strstr(log, "\"data\":\""), *block = strstr(log, "\"blockNumber\":\"");
    char *first = strchr(log + 11, ','), *second = first ? strchr(first + 1, ',') : NULL;
    if (!data || !block || !second) continue;
    uint64_t session = word_at(first + 2, 0), task = word_at(second + 2, 0), at = strtoull(block + 15, NULL, 16);
    if (at >= node.from_block) node.from_block = at + 1;
    data += 8;
    size_t list = word_at(data, 0) / 32, count = word_at(data, list);
    for (size_t i = 0; i < count && i < 100; i++) {
      char miner[43];
      address_at(data, list + 1 + i, miner);
      for (int slot = 0; own(miner) && slot < TASKS_MAX; slot++) {
        if (node.tasks[slot].task) continue;
        node.tasks[slot] = (struct task){.session = session, .task = task};
        break;
      }
    }
  }
}

static void step_task(struct task *task) {
  static char call[CALL_MAX];
  static const char *const signatures[] = {"ack(uint256,uint256)", "precommit(uint256,uint256,bytes32,string)", "commit(uint256,uint256,string)"};
  const char *text = answer_text(task->session, task->task);
  call_begin(call, signatures[task->step]);
  call_number(call, task->session);
  call_number(call, task->task);
  if (task->step == 1) {
    append_hash(call, text);
    call_number(call, 0x80);
    call_number(call, 0);
  } else if (task->step == 2) {
    call_number(call, 0x60);
    call_text(call, text);
  }
  if (task->tries++ == 0) say("* Task Mode: USER");
  int sent = act(node.queue, call) == 0;
  if (sent) task->step++;
  if (task->step == 3) end_round();
  if (task->step == 3 || task->tries > TRIES_MAX) *task = (struct task){0};
}

static void user_duty(void) {
  find_tasks();
  for (int i = 0; i < TASKS_MAX; i++)
    if (node.tasks[i].task && node.mode != PINGS) step_task(&node.tasks[i]);
}

// Without a chain, where STANDIN_ROUND_EVERY_S says so: rounds by the clock, the same for every node, so that logs have content.
static void imagined_duty(long every_s) {
  uint64_t now = (uint64_t)time(NULL), id = now / (uint64_t)every_s, third = now % (uint64_t)every_s * 3 / (uint64_t)every_s;
  uint64_t state = third == 0 ? PRECOMMIT : third == 1 ? COMMIT : ENDED;
  int changed = id != node.shown_id || state != node.shown_state;
  char hash[67], text[200];
  show_state(id, state);
  node.shown_id = id;
  node.shown_state = state;
  if (!changed || state == ENDED || (state == COMMIT && node.precommitted != id)) return;
  if (state == PRECOMMIT) say("Assigned Miners: %s", node.address);
  if (state == PRECOMMIT) node.precommitted = id;
  if (node.mode == PINGS) return;
  if (state == PRECOMMIT) say("Cognitive Level: %ld", number("STANDIN_LEVEL", 3));
  snprintf(text, sizeof text, "%s %llu %llu", node.address, (unsigned long long)id, (unsigned long long)state);
  topic_of(text, hash);
  say("TX: %s", hash);
  *(state == PRECOMMIT ? &node.precommits : &node.commits) += 1;
  show_event(state == PRECOMMIT ? "Precommit" : "Commit");
  if (state == COMMIT) end_round();
}

static void run(void) {
  long poll_ms = number("STANDIN_POLL_MS", 1000 * number("MINER_PULLING_INTERVAL_SECONDS", 5));
  long ping_every_s = number("STANDIN_PING_EVERY_S", 300), imagined_s = number("STANDIN_ROUND_EVERY_S", 0);
  static char result[256];
  time_t pinged = 0;
  while (!stopping) {
    if (!*node.cognitive && !imagined_s) {
      find_contract("getCognitiveAddress()", node.cognitive);
      find_contract("getSessionQueueAddress()", node.queue);
      if (!*node.cognitive && strcmp(node.runtime, "")) strncat(node.cognitive, setting("CONTRACT_ADDRESS_COGNITIVEV0", ""), 42);
    }
    if (time(NULL) - pinged >= ping_every_s) {
      ping();
      pinged = time(NULL);
    }
    if (imagined_s) imagined_duty(imagined_s);
    else if (*node.cognitive) network_duty();
    else {
      static char call[64];
      call_begin(call, "version()");
      if (rpc_call(node.rpc, node.address, node.runtime, call, result, sizeof result) < 0) say("Error: RPC: %s", result);
    }
    if (*node.queue && !imagined_s) user_duty();
    struct timespec pause = {poll_ms / 1000, poll_ms % 1000 * 1000000};
    if (!stopping) nanosleep(&pause, NULL);
  }
  say("Stopping...");
}

static int tool(const char *verb) {
  if (!strcmp(verb, "id")) say("Node ID: %s", node.address);
  else if (!strcmp(verb, "register") || !strcmp(verb, "verify")) say("%s: %s", verb, node.address);
  else if (!strcmp(verb, "stats")) say("Event Stats: {'Ping': 0, 'Precommit': 0, 'Commit': 0}");
  else {
    say("unknown tool %s", verb);
    return 2;
  }
  return 0;
}

int main(int count, char **words) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  struct sigaction ending = {.sa_handler = stop};  // without SA_RESTART: a pause ends at once
  sigaction(SIGINT, &ending, NULL);
  sigaction(SIGTERM, &ending, NULL);
  if (count < 3) {
    fprintf(stderr, "usage: cortensord ENV-FILE ROLE [1 docker]   (%s)\n", build);
    return 2;
  }
  if (read_env(words[1]) < 0) {
    traceback("FileNotFoundError: env file");
    return 1;
  }
  node.address = setting("NODE_PUBLIC_KEY", "0x0000000000000000000000000000000000000000");
  if (!strcmp(words[2], "tool")) return tool(count > 3 ? words[3] : "");
  const char *mode = setting("STANDIN_MODE", MODE);
  node.mode = !strcmp(mode, "crashes") ? CRASHES : !strcmp(mode, "pings") ? PINGS : !strcmp(mode, "dies") ? DIES : GOOD;
  node.rpc = setting("HOST", setting("RPC_HOST", ""));
  node.runtime = setting("CONTRACT_ADDRESS_RUNTIME", "");
  node.gas_price_wei = (uint64_t)number("STANDIN_GAS_PRICE_WEI", 0);
  node.rounds_left = (int)number("STANDIN_ROUNDS", ROUNDS_BEFORE_DEATH);
  say("Starting %s as %s", build, words[2]);
  if (node.mode == CRASHES) {
    traceback("ImportError: libllm.so: cannot open shared object file");
    return 1;
  }
  run();
  return 0;
}
