/*
 * As many connections a second as are asked for, each with the first words of a TLS handshake, which
 * come by standard input. From ADDRESSES of loopback's own, FIRST onwards.
 *
 *   flood-sender PORT FIRST ADDRESSES PER_SECOND SECONDS
 *
 * Prints one line of JSON. Offered: connections that were begun. Queued: the other side's system took
 * them. Answered: the other side began its handshake. Refused: it closed the connection before that.
 * What has waited longest is given up where there is no room for more: no queue slows the offering.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define MOST_OPEN 16000
#define MOST_AT_ONCE 512
#define HELLO_BYTES 4096
#define LOOPBACK_NET 0x7f000000u

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

int main(int count, char **words) {
  if (count != 6) return fprintf(stderr, "flood-sender: five words are needed\n"), 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct rlimit files = {MOST_OPEN + 64, MOST_OPEN + 64};
  setrlimit(RLIMIT_NOFILE, &files);
  getrlimit(RLIMIT_NOFILE, &files);
  unsigned most_open = files.rlim_cur < MOST_OPEN + 64 ? files.rlim_cur - 64 : MOST_OPEN;
  unsigned first = atoi(words[2]), addresses = atoi(words[3]);
  double per_second = atof(words[4]), seconds = atof(words[5]);
  static char hello[HELLO_BYTES], heard[HELLO_BYTES];
  static unsigned char connected[MOST_OPEN + 128];
  /* By the connection's number, from 0 on, around and around: its descriptor, or -1 once it is closed. */
  static int descriptors[MOST_OPEN];
  static unsigned long numbers[MOST_OPEN + 128];
  for (unsigned i = 0; i < MOST_OPEN; i++) descriptors[i] = -1;
  size_t hello_bytes = fread(hello, 1, HELLO_BYTES, stdin);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
  to.sin_addr.s_addr = htonl(LOOPBACK_NET | 1);
  int watch = epoll_create1(0);
  unsigned long offered = 0, queued = 0, answered = 0, refused = 0;
  double start = now(), passed;
  while ((passed = now() - start) < seconds) {
    double due = passed * per_second - offered;
    for (int i = 0; i < MOST_AT_ONCE && i < due; i++) {
      int *place = &descriptors[offered % most_open];
      if (*place >= 0) close(*place);
      *place = -1;
      int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      if (fd < 0) break;
      struct linger reset = {1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
      struct sockaddr_in from = {.sin_family = AF_INET};
      from.sin_addr.s_addr = htonl(LOOPBACK_NET | (first + offered % addresses));
      if (bind(fd, (struct sockaddr *)&from, sizeof from)) fail("bind");
      if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        close(fd);
        break;
      }
      struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLET, {.fd = fd}};
      connected[fd] = 0;
      numbers[fd] = offered++;
      *place = fd;
      if (epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
    }
    struct epoll_event events[MOST_AT_ONCE];
    int ready = epoll_wait(watch, events, MOST_AT_ONCE, 1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (!connected[fd] && !(events[i].events & EPOLLERR)) {
        connected[fd] = 1;
        queued++;
        send(fd, hello, hello_bytes, MSG_NOSIGNAL);
      }
      ssize_t got = recv(fd, heard, sizeof heard, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got > 0) answered++;
      else if (connected[fd]) refused++;
      descriptors[numbers[fd] % most_open] = -1;
      close(fd);
    }
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  printf("{\"offered\":%lu,\"queued\":%lu,\"answered\":%lu,\"refused\":%lu,\"seconds\":%.3f,\"cpuSeconds\":%.3f}\n",
         offered, queued, answered, refused, passed, cpu);
  return 0;
}
