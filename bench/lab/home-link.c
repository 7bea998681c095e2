/*
 * A home's line in user space, between TUN devices in two network namespaces: rate, delay, random
 * loss and a queue that drops what does not fit. For kernels without sch_netem.
 *
 *   home-link NS_A DEVICE_A NS_B DEVICE_B RATE_AB RATE_BA DELAY_MS LOSS_PERCENT QUEUE_BYTES SEED
 *
 * Rates in bit/s of IP packets, delay one way, loss each way. Prints "up" when packets can flow;
 * ends with its parent.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_BYTES 1600
#define PACKETS_KEPT 16384
#define PACKETS_IN_A_ROW 64
#define LONGEST_SLEEP_NS 20000000ull

typedef unsigned long long ns_t;

struct packet {
  ns_t due;
  int length;
  unsigned char bytes[PACKET_BYTES];
};

struct direction {
  struct packet *packets; /* a ring: head is the oldest, tail the next free place */
  unsigned head, tail;
  ns_t line_free_at;
  double bytes_per_ns;
};

static ns_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Opens a TUN device inside of a namespace and comes back to our own. */
static int open_tun(const char *space, const char *device) {
  char path[256];
  snprintf(path, sizeof path, "/var/run/netns/%s", space);
  int home = open("/proc/self/ns/net", O_RDONLY), there = open(path, O_RDONLY);
  if (home < 0 || there < 0 || setns(there, CLONE_NEWNET)) fail(path);
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  struct ifreq request = {0};
  strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (tun < 0 || ioctl(tun, TUNSETIFF, &request)) fail("/dev/net/tun");
  if (setns(home, CLONE_NEWNET)) fail("setns");
  close(home);
  close(there);
  return tun;
}

static void take_in(struct direction *way, int from, ns_t at, ns_t delay, double loss, double queue) {
  for (int i = 0; i < PACKETS_IN_A_ROW && way->tail - way->head < PACKETS_KEPT; i++) {
    struct packet *packet = &way->packets[way->tail % PACKETS_KEPT];
    packet->length = read(from, packet->bytes, PACKET_BYTES);
    if (packet->length <= 0) return;
    double waiting = way->line_free_at > at ? (way->line_free_at - at) * way->bytes_per_ns : 0;
    if (waiting + packet->length > queue) continue;
    ns_t start = way->line_free_at > at ? way->line_free_at : at;
    way->line_free_at = start + (ns_t)(packet->length / way->bytes_per_ns);
    if (drand48() < loss) continue;
    packet->due = way->line_free_at + delay;
    way->tail++;
  }
}

static void give_out(struct direction *way, int to) {
  for (ns_t at = now(); way->head != way->tail; way->head++) {
    struct packet *packet = &way->packets[way->head % PACKETS_KEPT];
    if (packet->due > at) return;
    /* A full device drops, as a router does. */
    if (write(to, packet->bytes, packet->length) < 0) continue;
  }
}

int main(int count, char **words) {
  if (count != 11) return fprintf(stderr, "home-link: ten words are needed\n"), 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_TIMERSLACK, 1);
  int tuns[2] = {open_tun(words[1], words[2]), open_tun(words[3], words[4])};
  struct direction ways[2] = {0};
  for (int i = 0; i < 2; i++) {
    ways[i].packets = malloc(sizeof(struct packet) * PACKETS_KEPT);
    if (!ways[i].packets) fail("malloc");
    ways[i].bytes_per_ns = atof(words[5 + i]) / 8e9;
  }
  ns_t delay = atof(words[7]) * 1e6;
  double loss = atof(words[8]) / 100, queue = atof(words[9]);
  srand48(atol(words[10]));
  printf("up\n");
  fflush(stdout);
  for (;;) {
    struct pollfd watched[2] = {{tuns[0], POLLIN, 0}, {tuns[1], POLLIN, 0}};
    ns_t at = now(), sleep = LONGEST_SLEEP_NS;
    for (int i = 0; i < 2; i++) {
      if (ways[i].head == ways[i].tail) continue;
      ns_t due = ways[i].packets[ways[i].head % PACKETS_KEPT].due;
      ns_t left = due > at ? due - at : 0;
      if (left < sleep) sleep = left;
    }
    struct timespec wait = {0, sleep};
    ppoll(watched, 2, &wait, 0);
    for (int i = 0; i < 2; i++) {
      take_in(&ways[i], tuns[i], now(), delay, loss, queue);
      give_out(&ways[i], tuns[1 - i]);
    }
  }
}
