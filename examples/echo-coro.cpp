// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * echo-coro: send back what comes, with a C++20 coroutine for each connection.
 *
 *	echo-coro IFNAME PORT CONNECTIONS
 *
 * The queue is one of the file descriptors of an event loop. A buffer is sent from
 * where it was received and goes back to the queue when the last of its bytes has
 * been sent; what waits meanwhile is bounded by the connection's budget.
 *
 * Everything is in one thread, so a coroutine runs until it waits, and nothing
 * here takes a lock.
 */
#include <cerrno>
#include <coroutine>
#include <cstdlib>
#include <deque>
#include <exception>
#include <liburing-zcrx.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <utility>

#include "listen.h"

namespace {

zcrx_queue *queue;
unsigned long nr_left;		/* connections that have not ended */

/* A coroutine that nobody waits for: runs at once, and frees itself at its end. */
struct task {
	struct promise_type {
		task get_return_object() { return {}; }
		std::suspend_never initial_suspend() { return {}; }
		std::suspend_never final_suspend() noexcept { return {}; }
		void return_void() {}
		void unhandled_exception() { std::terminate(); }
	};
};

class event_loop {
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	/* By what epoll tells: who waits, or nobody for the queue */
	void add(int fd, uint32_t events, void *waiter)
	{
		epoll_event event = {};

		event.events = events;
		event.data.ptr = waiter;
		if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) &&
		    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			err(1, "epoll");
	}

	static void receive();

public:
	/* co_await loop.ready(fd, events): until poll() would tell of them */
	auto ready(int fd, uint32_t events)
	{
		struct awaiter {
			event_loop &loop;
			int fd;
			uint32_t events;

			bool await_ready() { return false; }
			void await_suspend(std::coroutine_handle<> waiter)
			{
				loop.add(fd, events | EPOLLONESHOT,
					 waiter.address());
			}
			void await_resume() {}
		};

		return awaiter{*this, fd, events};
	}

	void run();
} loop;

class connection {
	int fd;
	zcrx_conn *conn;
	std::deque<zcrx_buf> received;
	std::coroutine_handle<> receiver;

public:
	explicit connection(int fd) : fd(fd)
	{
		if (zcrx_conn_add(queue, fd, this, &conn) < 0)
			errx(1, "%s", zcrx_error());
	}

	~connection()
	{
		zcrx_conn_remove(conn);
		close(fd);
	}

	connection(const connection &) = delete;
	connection &operator=(const connection &) = delete;

	/* By the event loop: resumes the coroutine if it waits for this. */
	void deliver(const zcrx_buf &buf)
	{
		received.push_back(buf);
		if (receiver)
			std::exchange(receiver, nullptr).resume();
	}

	/* co_await receive(): the next buffer, which is the caller's then */
	auto receive()
	{
		struct awaiter {
			connection &self;

			bool await_ready() { return !self.received.empty(); }
			void await_suspend(std::coroutine_handle<> waiter)
			{
				self.receiver = waiter;
			}
			zcrx_buf await_resume()
			{
				zcrx_buf buf = self.received.front();

				self.received.pop_front();
				return buf;
			}
		};

		return awaiter{*this};
	}

	/* Sends what the socket takes; returns that, or -1. */
	ssize_t send(const char *data, size_t len)
	{
		return ::send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}

	auto writable() { return loop.ready(fd, EPOLLOUT); }
};

/*
 * It ends with its connection, and only then: the loop may have more buffers of it
 * before. So if the peer takes no more, the rest is received and dropped.
 */
task echo(int fd)
{
	connection peer(fd);
	bool broken = false;

	for (;;) {
		zcrx_buf buf = co_await peer.receive();
		const char *data = static_cast<const char *>(buf.data);
		size_t sent = 0;

		if (!data)
			break;
		while (sent < buf.len && !broken) {
			ssize_t n = peer.send(data + sent, buf.len - sent);

			if (n >= 0)
				sent += n;
			else if (errno == EAGAIN)
				co_await peer.writable();
			else
				broken = errno != EINTR;
		}
		zcrx_release(queue, &buf, 1);
	}
	nr_left--;
}

task serve(int listener, unsigned long nr)
{
	while (nr) {
		co_await loop.ready(listener, EPOLLIN);
		int fd = accept(listener, nullptr, nullptr);

		if (fd < 0 && errno != ECONNABORTED)
			err(1, "accept");
		if (fd < 0)
			continue;
		echo(fd);
		nr--;
	}
	close(listener);
}

/* All there is: only then does the queue's file descriptor tell of more. */
void event_loop::receive()
{
	zcrx_buf bufs[64];
	int n;

	while ((n = zcrx_receive(queue, bufs, 64, 0)) != 0) {
		if (n < 0 && n != -EINTR)
			errx(1, "%s", zcrx_error());
		for (int i = 0; i < n; i++)
			static_cast<connection *>(bufs[i].tag)->deliver(bufs[i]);
	}
}

void event_loop::run()
{
	epoll_event events[64];

	add(zcrx_queue_poll_fd(queue), EPOLLIN, nullptr);
	for (receive(); nr_left; receive()) {
		int n = epoll_wait(epoll, events, 64, -1);

		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				std::coroutine_handle<>::from_address(
					events[i].data.ptr).resume();
	}
	close(epoll);
}

} // namespace

int main(int argc, char **argv)
{
	zcrx_queue_opts opts;

	nr_left = argc == 4 ? std::strtoul(argv[3], nullptr, 0) : 0;
	if (!nr_left)
		errx(2, "usage: echo-coro IFNAME PORT CONNECTIONS");

	zcrx_queue_opts_init(&opts);
	opts.ifname = argv[1];
	if (zcrx_queue_open(&queue, &opts))
		errx(1, "%s", zcrx_error());
	warnx("back end %s. %s", zcrx_queue_backend(queue),
	      zcrx_queue_why(queue));

	serve(listen_on(std::strtoul(argv[2], nullptr, 0), 128), nr_left);
	loop.run();
	if (zcrx_queue_close(queue))
		errx(1, "%s", zcrx_error());
}
