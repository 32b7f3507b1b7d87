/* A node's program, or (called as `first`) a container's first process, for kill points. It says once what it was started with, and waits. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number) { (void)number; _exit(0); }

static void copy_mark(const char *path, char *mark, size_t size) {
  char line[256];
  FILE *file = fopen(path, "r");
  strcpy(mark, "none");
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, "MARK=", 5)) snprintf(mark, size, "%s", strtok(line + 5, "\n"));
  if (file) fclose(file);
}

int main(int count, char **words) {
  const char *name = strrchr(words[0], '/') ? strrchr(words[0], '/') + 1 : words[0];
  char mark[64];
  const char *unit = getenv("UNIT_MARK");
  if (!strcmp(name, "first") && count > 2) { /* as a shell would: starts it, waits, passes no signal on */
    if (fork() == 0) { execv(words[1], words + 1); _exit(127); }
    wait(NULL);
    return 0;
  }
  if (count < 4) return 2;
  if (signal(SIGINT, end) == SIG_IGN) signal(SIGINT, SIG_IGN); /* what a shell starts in the background ignores it */
  signal(SIGTERM, end);
  copy_mark(words[1], mark, sizeof mark);
  printf("started %d %s %s\n", getpid(), mark, unit ? unit : words[3]);
  fflush(stdout);
#ifdef CRASHES
  return 1;
#endif
  for (;;) pause();
}
