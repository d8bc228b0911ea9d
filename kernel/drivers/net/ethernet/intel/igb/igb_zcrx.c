// SPDX-License-Identifier: GPL-2.0
/* Receive queues whose payload goes to the memory of a memory provider
 *
 * The NIC writes headers to a slot of kernel memory that each descriptor has,
 * and payload to a buffer from the page pool, which asks the provider. Such a
 * buffer may be writable by a process: nothing of it is parsed in place, and
 * whatever is not the payload of a TCP segment is copied out.
 */

#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/ip.h>
#include <net/netdev_queues.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/helpers.h>

#include "igb.h"

/* One descriptor's buffers */
struct igb_zcrx_buffer {
	netmem_ref netmem;	/* payload, 0 if there is none */
	dma_addr_t hdr_dma;
	void *hdr;
};

struct igb_zcrx {
	struct page_pool *pool;
	unsigned int order;	/* of a buffer for payload */
	struct timer_list retry_timer;
	struct napi_struct *napi;
	struct igb_zcrx_buffer buffers[];
};

#define IGB_ZCRX_HDRS_PER_PAGE	(PAGE_SIZE / IGB_RX_HDR_LEN)

/* A buffer has one frame at most, so more would stay empty. */
#define IGB_ZCRX_MAX_ORDER	get_order(MAX_JUMBO_FRAME_SIZE)
#define IGB_ZCRX_MAX_PAGES	4

/* How long to wait for memory */
#define IGB_ZCRX_RETRY_MS	10

/* What is known of a frame until its last descriptor has come */
struct igb_zcrx_cb {
	bool split;		/* payload may stay where it is */
	bool drop;		/* some of it can't be read */
};

#define IGB_ZCRX_CB(skb) ((struct igb_zcrx_cb *)(skb)->cb)

static const struct pp_memory_provider_params *
igb_queue_provider(struct net_device *netdev, int idx)
{
	return &__netif_get_rx_queue(netdev, idx)->mp_params;
}

static bool igb_queue_has_provider(struct net_device *netdev, int idx)
{
	return igb_queue_provider(netdev, idx)->mp_ops;
}

/* Caller holds RTNL. The rings of a self-test have no vector and stay with
 * ordinary buffers.
 */
bool igb_zcrx_wanted(const struct igb_ring *ring)
{
	return ring->q_vector &&
	       igb_queue_has_provider(ring->netdev, ring->queue_index);
}

/* Caller holds RTNL, or can do with an answer that is old. Queues count that the
 * adapter has lost since.
 */
bool igb_zcrx_in_use(struct igb_adapter *adapter)
{
	int i;

	for (i = 0; i < adapter->netdev->num_rx_queues; i++)
		if (igb_queue_has_provider(adapter->netdev, i))
			return true;

	return false;
}

unsigned int igb_zcrx_buffer_size(const struct igb_ring *ring)
{
	return PAGE_SIZE << ring->zcrx->order;
}

static void igb_zcrx_free_headers(struct igb_ring *ring)
{
	struct igb_zcrx_buffer *buf = ring->zcrx->buffers;
	int i;

	for (i = 0; i < ring->count; i += IGB_ZCRX_HDRS_PER_PAGE)
		if (buf[i].hdr)
			dma_free_coherent(ring->dev, PAGE_SIZE, buf[i].hdr,
					  buf[i].hdr_dma);
}

/* Pages, since a large area is hard to get on a machine that has run for long.
 */
static int igb_zcrx_alloc_headers(struct igb_ring *ring)
{
	struct igb_zcrx_buffer *buf = ring->zcrx->buffers;
	dma_addr_t dma = 0;
	void *va = NULL;
	int i, slot;

	for (i = 0; i < ring->count; i++) {
		slot = i % IGB_ZCRX_HDRS_PER_PAGE;
		if (!slot) {
			va = dma_alloc_coherent(ring->dev, PAGE_SIZE, &dma,
						GFP_KERNEL);
			if (!va)
				return -ENOMEM;
		}
		buf[i].hdr = va + slot * IGB_RX_HDR_LEN;
		buf[i].hdr_dma = dma + slot * IGB_RX_HDR_LEN;
	}

	return 0;
}

static struct page_pool *igb_zcrx_create_pool(struct igb_ring *ring)
{
	struct page_pool_params params = {
		.order		= ring->zcrx->order,
		.pool_size	= ring->count,
		.nid		= NUMA_NO_NODE,
		.dev		= ring->dev,
		.napi		= ring->zcrx->napi,
		.dma_dir	= DMA_FROM_DEVICE,
		.max_len	= igb_zcrx_buffer_size(ring),
		.netdev		= ring->netdev,
		.queue_idx	= ring->queue_index,
		.flags		= PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV |
				  PP_FLAG_ALLOW_UNREADABLE_NETMEM,
	};

	return page_pool_create(&params);
}

static void igb_zcrx_retry(struct timer_list *timer)
{
	struct igb_zcrx *zcrx = from_timer(zcrx, timer, retry_timer);

	napi_schedule(zcrx->napi);
}

/* A ring that is empty gets no interrupts, and the provider may have memory
 * again long before the watchdog polls.
 */
static void igb_zcrx_no_memory(struct igb_ring *ring)
{
	ring->rx_stats.alloc_failed++;
	mod_timer(&ring->zcrx->retry_timer,
		  jiffies + msecs_to_jiffies(IGB_ZCRX_RETRY_MS));
}

int igb_zcrx_setup_resources(struct igb_ring *ring)
{
	unsigned int order = igb_queue_provider(ring->netdev,
						ring->queue_index)->order;
	struct igb_zcrx *zcrx;
	int err;

	if (order > IGB_ZCRX_MAX_ORDER)
		return -EOPNOTSUPP;

	zcrx = kvzalloc(struct_size(zcrx, buffers, ring->count), GFP_KERNEL);
	if (!zcrx)
		return -ENOMEM;

	zcrx->order = order;
	zcrx->napi = &ring->q_vector->napi;
	timer_setup(&zcrx->retry_timer, igb_zcrx_retry, 0);
	ring->zcrx = zcrx;
	err = igb_zcrx_alloc_headers(ring);
	if (err)
		goto err_headers;

	err = igb_alloc_rx_desc(ring);
	if (err)
		goto err_headers;

	/* Last: once it exists it can only go while NAPI is disabled. */
	zcrx->pool = igb_zcrx_create_pool(ring);
	if (IS_ERR(zcrx->pool)) {
		err = PTR_ERR(zcrx->pool);
		goto err_pool;
	}

	set_bit(IGB_RING_FLAG_RX_ZCRX, &ring->flags);
	return 0;

err_pool:
	igb_free_rx_desc(ring);
err_headers:
	igb_zcrx_free_headers(ring);
	kvfree(zcrx);
	ring->zcrx = NULL;
	return err;
}

/* The buffers are gone, by igb_zcrx_clean_ring() */
void igb_zcrx_free_resources(struct igb_ring *ring)
{
	page_pool_destroy(ring->zcrx->pool);
	igb_zcrx_free_headers(ring);
	kvfree(ring->zcrx);
	ring->zcrx = NULL;
	clear_bit(IGB_RING_FLAG_RX_ZCRX, &ring->flags);
}

/* NAPI is disabled: what stops the timer need not fear its being started. */
void igb_zcrx_clean_ring(struct igb_ring *ring)
{
	struct igb_zcrx_buffer *buf = ring->zcrx->buffers;
	int i;

	timer_delete_sync(&ring->zcrx->retry_timer);

	for (i = 0; i < ring->count; i++, buf++) {
		if (!buf->netmem)
			continue;
		page_pool_put_full_netmem(ring->zcrx->pool, buf->netmem, false);
		buf->netmem = 0;
	}
}

/* A descriptor that is posted says so by DD being clear, which is part of the
 * header's address. The one behind the last posted is never the NIC's: clear
 * it, or the ring would seem done there when it has run empty.
 */
void igb_zcrx_alloc_buffers(struct igb_ring *ring, u16 count)
{
	struct igb_zcrx *zcrx = ring->zcrx;
	union e1000_adv_rx_desc *rx_desc;
	struct igb_zcrx_buffer *buf;
	u16 i = ring->next_to_use;

	while (count--) {
		buf = &zcrx->buffers[i];
		if (!buf->netmem)
			buf->netmem = page_pool_alloc_netmems(zcrx->pool,
							      GFP_ATOMIC |
							      __GFP_NOWARN);
		if (unlikely(!buf->netmem)) {
			igb_zcrx_no_memory(ring);
			break;
		}

		rx_desc = IGB_RX_DESC(ring, i);
		rx_desc->read.pkt_addr =
			cpu_to_le64(page_pool_get_dma_addr_netmem(buf->netmem));
		rx_desc->read.hdr_addr = cpu_to_le64(buf->hdr_dma);

		if (++i == ring->count)
			i = 0;
	}

	if (ring->next_to_use == i)
		return;

	ring->next_to_use = i;
	ring->next_to_alloc = i;
	IGB_RX_DESC(ring, i)->wb.upper.status_error = 0;

	/* The NIC must not see the new tail before the descriptors. */
	dma_wmb();
	writel(i, ring->tail);
}

/* The length of the headers up to TCP's in @data, 0 if they are others */
static unsigned int igb_zcrx_header_len(const void *data, unsigned int len)
{
	const struct vlan_ethhdr *eth = data;
	__be16 proto = eth->h_vlan_proto;
	unsigned int off = ETH_HLEN;
	const struct ipv6hdr *ip6;
	const struct tcphdr *th;
	const struct iphdr *ip;

	if (len < ETH_HLEN + sizeof(*ip) + sizeof(*th))
		return 0;

	if (proto == htons(ETH_P_8021Q)) {
		proto = eth->h_vlan_encapsulated_proto;
		off = VLAN_ETH_HLEN;
	}

	if (proto == htons(ETH_P_IP)) {
		ip = data + off;
		if (ip->protocol != IPPROTO_TCP || ip_is_fragment(ip))
			return 0;
		off += ip->ihl * 4;
	} else if (proto == htons(ETH_P_IPV6)) {
		ip6 = data + off;
		if (ip6->nexthdr != IPPROTO_TCP)
			return 0;
		off += sizeof(*ip6);
	} else {
		return 0;
	}

	if (off + sizeof(*th) > len)
		return 0;
	th = data + off;
	return off + th->doff * 4;
}

/**
 * igb_zcrx_is_split() - whether the NIC has split a frame where we would
 * @data: what it has put in the header's buffer
 * @len: of that, in bytes
 *
 * Return: true if that is all of TCP's headers, and nothing else.
 */
bool igb_zcrx_is_split(const void *data, unsigned int len)
{
	return len && igb_zcrx_header_len(data, len) == len;
}

/* Begin a frame with what is in the header buffer: the headers, if the NIC
 * could split, or as much of the frame as fits. Which of them is seen by
 * looking at the copy.
 */
static struct sk_buff *igb_zcrx_begin_skb(struct igb_ring *ring,
					  union e1000_adv_rx_desc *rx_desc,
					  void *hdr)
{
	unsigned int len = le16_to_cpu(rx_desc->wb.lower.lo_dword.hdr_info);
	struct sk_buff *skb;

	net_prefetch(hdr);
	skb = napi_alloc_skb(&ring->q_vector->napi, IGB_RX_HDR_LEN);
	if (unlikely(!skb))
		return NULL;

	/* The NIC tells the length of longer headers, too, but has not written
	 * more than fits.
	 */
	len = (len & E1000_RXDADV_HDRBUFLEN_MASK) >>
	      E1000_RXDADV_HDRBUFLEN_SHIFT;
	len = min(len, IGB_RX_HDR_LEN);

	/* Whole words, both buffers are long enough. */
	memcpy(__skb_put(skb, len), hdr, ALIGN(len, sizeof(long)));
	IGB_ZCRX_CB(skb)->split = igb_zcrx_is_split(skb->data, len);
	return skb;
}

static bool igb_zcrx_alloc_pages(struct page **pages, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		pages[i] = dev_alloc_page();
		if (unlikely(!pages[i]))
			goto err;
	}

	return true;

err:
	while (i--)
		put_page(pages[i]);
	return false;
}

/* The rest of a frame that was not split: fill up the linear part, where
 * headers are parsed, then go on in pages. Single ones: all behind this frame
 * wait until it gets them. Neither these nor those of @src are in high memory.
 */
static bool igb_zcrx_copy_payload(struct sk_buff *skb, struct page *src,
				  unsigned int len)
{
	unsigned int nr = skb_shinfo(skb)->nr_frags;
	unsigned int head = nr ? 0 : min(len, IGB_RX_HDR_LEN - skb->len);
	struct page *pages[IGB_ZCRX_MAX_PAGES], **page = pages;
	void *data = page_address(src);
	unsigned int part;

	BUILD_BUG_ON(IGB_ZCRX_MAX_PAGES < 1 << IGB_ZCRX_MAX_ORDER);
	if (!igb_zcrx_alloc_pages(pages, DIV_ROUND_UP(len - head, PAGE_SIZE)))
		return false;

	if (head)
		skb_put_data(skb, data, head);

	for (data += head, len -= head; len; data += part, len -= part) {
		part = min(len, PAGE_SIZE);
		memcpy(page_address(*page), data, part);
		skb_add_rx_frag(skb, nr++, *page++, 0, part, PAGE_SIZE);
	}

	return true;
}

/* Returns false if there is no memory, and changes nothing. */
static bool igb_zcrx_add_payload(struct igb_ring *ring, struct sk_buff *skb,
				 struct igb_zcrx_buffer *buf, unsigned int len)
{
	struct page_pool *pool = ring->zcrx->pool;
	struct page *page;

	page_pool_dma_sync_netmem_for_cpu(pool, buf->netmem, 0, len);

	if (likely(IGB_ZCRX_CB(skb)->split)) {
		skb_add_rx_frag_netmem(skb, skb_shinfo(skb)->nr_frags,
				       buf->netmem, 0, len,
				       igb_zcrx_buffer_size(ring));
		skb_mark_for_recycle(skb);
	} else {
		page = netmem_host_page(buf->netmem);
		if (!page || WARN_ON_ONCE(len > igb_zcrx_buffer_size(ring)))
			IGB_ZCRX_CB(skb)->drop = true;
		else if (!igb_zcrx_copy_payload(skb, page, len))
			return false;
		page_pool_put_full_netmem(pool, buf->netmem, true);
	}

	buf->netmem = 0;
	return true;
}

/* A frame without payload leaves its buffer to the next descriptor to be
 * posted. Its own may have to wait for others before it that get no memory.
 */
static void igb_zcrx_reuse_buffer(struct igb_ring *ring,
				  struct igb_zcrx_buffer *buf)
{
	netmem_ref netmem = buf->netmem;
	u16 i = ring->next_to_alloc;

	buf->netmem = 0;
	ring->zcrx->buffers[i].netmem = netmem;
	ring->next_to_alloc = i + 1 < ring->count ? i + 1 : 0;
}

int igb_zcrx_clean_irq(struct igb_q_vector *q_vector, int budget)
{
	unsigned int total_bytes = 0, total_packets = 0, total_unsplit = 0;
	struct igb_ring *ring = q_vector->rx.ring;
	u16 cleaned_count = igb_desc_unused(ring);
	struct igb_zcrx *zcrx = ring->zcrx;
	struct sk_buff *skb = ring->skb;

	/* netpoll wants Tx only, and may have interrupted the page pool. */
	if (unlikely(!budget))
		return 0;

	while (likely(total_packets < budget)) {
		union e1000_adv_rx_desc *rx_desc;
		struct igb_zcrx_buffer *buf;
		unsigned int len;
		u16 ntc;

		if (cleaned_count >= IGB_RX_BUFFER_WRITE) {
			igb_zcrx_alloc_buffers(ring, cleaned_count);
			cleaned_count = 0;
		}

		/* The length won't do: it is 0 for a frame without payload. */
		ntc = ring->next_to_clean;
		rx_desc = IGB_RX_DESC(ring, ntc);
		if (!igb_test_staterr(rx_desc, E1000_RXD_STAT_DD))
			break;

		/* The rest of the descriptor is valid once DD is set. */
		dma_rmb();

		buf = &zcrx->buffers[ntc];
		if (!skb)
			skb = igb_zcrx_begin_skb(ring, rx_desc, buf->hdr);

		/* Without memory the descriptor waits for the next poll. */
		len = le16_to_cpu(rx_desc->wb.upper.length);
		if (unlikely(!skb ||
			     (len && !igb_zcrx_add_payload(ring, skb, buf,
							   len)))) {
			igb_zcrx_no_memory(ring);
			break;
		}
		if (!len)
			igb_zcrx_reuse_buffer(ring, buf);

		cleaned_count++;
		if (++ntc == ring->count)
			ntc = 0;
		ring->next_to_clean = ntc;
		prefetch(IGB_RX_DESC(ring, ntc));

		if (!igb_test_staterr(rx_desc, E1000_RXD_STAT_EOP))
			continue;

		if (unlikely(IGB_ZCRX_CB(skb)->drop)) {
			dev_core_stats_rx_dropped_inc(ring->netdev);
			dev_kfree_skb_any(skb);
			skb = NULL;
			continue;
		}

		/* What lay in buffers has been copied. */
		if (len && !IGB_ZCRX_CB(skb)->split)
			total_unsplit++;

		len = igb_finish_rx_skb(ring, rx_desc, skb);
		if (len) {
			napi_gro_receive(&q_vector->napi, skb);
			total_bytes += len;
			total_packets++;
		}
		skb = NULL;
	}

	/* An incomplete frame goes on with the next poll. */
	ring->skb = skb;

	u64_stats_update_begin(&ring->rx_syncp);
	ring->rx_stats.packets += total_packets;
	ring->rx_stats.bytes += total_bytes;
	ring->rx_stats.unsplit += total_unsplit;
	u64_stats_update_end(&ring->rx_syncp);
	q_vector->rx.total_packets += total_packets;
	q_vector->rx.total_bytes += total_bytes;

	if (cleaned_count)
		igb_zcrx_alloc_buffers(ring, cleaned_count);

	return total_packets;
}

/* The core's way to give a queue other memory: the new ring is made, the queue
 * stopped, and started with the new ring. Both rings are copies of the queue's
 * struct igb_ring, of which the copy's memory counts.
 */

static int igb_queue_mem_alloc(struct net_device *netdev, void *mem, int idx)
{
	struct igb_adapter *adapter = netdev_priv(netdev);
	struct igb_ring *ring = mem;

	if (test_bit(__IGB_DOWN, &adapter->state) ||
	    idx >= adapter->num_rx_queues)
		return -ENETDOWN;
	if (adapter->vfs_changing && igb_queue_has_provider(netdev, idx))
		return -EBUSY;

	memcpy(ring, adapter->rx_ring[idx], sizeof(*ring));
	ring->skb = NULL;
	return igb_setup_rx_resources(ring);
}

static void igb_queue_mem_free(struct net_device *netdev, void *mem)
{
	igb_free_rx_resources(mem);
}

static int igb_queue_stop(struct net_device *netdev, void *mem, int idx)
{
	struct igb_adapter *adapter = netdev_priv(netdev);
	struct igb_ring *ring = adapter->rx_ring[idx];
	struct e1000_hw *hw = &adapter->hw;

	/* Tx of the same vector waits, too. */
	napi_disable(&ring->q_vector->napi);

	/* The NIC may still be writing a frame: give it as long as
	 * igb_down() does.
	 */
	wr32(E1000_RXDCTL(ring->reg_idx), 0);
	wrfl();
	usleep_range(10000, 11000);

	igb_clean_rx_ring(ring);
	if (ring_is_zcrx(ring))
		page_pool_disable_direct_recycling(ring->zcrx->pool);

	memcpy(mem, ring, sizeof(*ring));
	return 0;
}

static int igb_queue_start(struct net_device *netdev, void *mem, int idx)
{
	struct igb_adapter *adapter = netdev_priv(netdev);
	struct igb_ring *ring = adapter->rx_ring[idx];
	struct igb_ring *from = mem;

	assign_bit(IGB_RING_FLAG_RX_ZCRX, &ring->flags, ring_is_zcrx(from));
	if (ring_is_zcrx(from))
		ring->zcrx = from->zcrx;
	else
		ring->rx_buffer_info = from->rx_buffer_info;
	ring->desc = from->desc;
	ring->dma = from->dma;

	igb_configure_rx_ring(adapter, ring);
	igb_fill_rx_ring(ring);

	/* An interrupt that came meanwhile has masked itself and found NAPI
	 * disabled. Polling sees what it was for, and unmasks it.
	 */
	napi_enable(&ring->q_vector->napi);
	local_bh_disable();
	napi_schedule(&ring->q_vector->napi);
	local_bh_enable();

	return 0;
}

static const struct netdev_queue_mgmt_ops igb_queue_mgmt_ops = {
	.ndo_queue_mem_size	= sizeof(struct igb_ring),
	.ndo_queue_mem_alloc	= igb_queue_mem_alloc,
	.ndo_queue_mem_free	= igb_queue_mem_free,
	.ndo_queue_start	= igb_queue_start,
	.ndo_queue_stop		= igb_queue_stop,
};

void igb_zcrx_init(struct igb_adapter *adapter)
{
	if (igb_can_split(adapter))
		adapter->netdev->queue_mgmt_ops = &igb_queue_mgmt_ops;
}
