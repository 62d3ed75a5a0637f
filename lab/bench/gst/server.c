/*
 * Plays an Annex B clip with gst-rtsp-server: appsrc ! h264parse ! rtph264pay, one shared media, latency 0.
 *
 *   server CLIP PORT STAMP(0|1)
 *
 * Build: cc -O2 server.c -o server $(pkg-config --cflags --libs gstreamer-rtsp-server-1.0 gstreamer-app-1.0)
 */
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gst/rtsp-server/rtsp-server.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RATE = 25, MAX_UNITS = 10000 };

struct unit {
	const guint8 *data; /* with start codes, up to the start code of the slice */
	gsize head, size;   /* bytes in front of the slice; all bytes */
};

static struct unit units[MAX_UNITS];
static int unit_count;
static int stamping;
static const guint8 uuid[16] = {UUID_BYTES};

static int start_code(const guint8 *p, const guint8 *end)
{
	return p + 4 <= end && p[0] == 0 && p[1] == 0 && p[2] == 1;
}

/* One slice a picture: an access unit ends where its slice ends. */
static void cut(const guint8 *data, gsize size)
{
	const guint8 *end = data + size, *begin = data, *slice = NULL;
	for (const guint8 *p = data; p < end && unit_count < MAX_UNITS; p++) {
		if (!start_code(p, end))
			continue;
		int kind = p[3] & 31;
		const guint8 *at = p > data && p[-1] == 0 ? p - 1 : p;
		if (slice) {
			units[unit_count++] = (struct unit){begin, slice - begin, at - begin};
			begin = at;
			slice = NULL;
		}
		if (kind == 1 || kind == 5)
			slice = at;
		p += 3;
	}
	if (slice && unit_count < MAX_UNITS)
		units[unit_count++] = (struct unit){begin, slice - begin, end - begin};
}

/* Writes the SEI user_data_unregistered with the time of day, emulation prevented; returns its bytes. */
static gsize stamp(guint8 *out, guint64 frame)
{
	guint8 body[16 + 1 + 16];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	guint64 ns = (guint64)now.tv_sec * 1000000000u + now.tv_nsec;
	memcpy(body, uuid, 16);
	body[16] = 1; /* version */
	for (int i = 0; i < 8; i++) {
		body[17 + i] = frame >> (56 - 8 * i);
		body[25 + i] = ns >> (56 - 8 * i);
	}
	guint8 *o = out;
	const guint8 head[] = {0, 0, 0, 1, 6, 5, sizeof body};
	memcpy(o, head, sizeof head);
	o += sizeof head;
	for (int i = 0, zeros = 0; i < (int)sizeof body; i++) {
		if (zeros >= 2 && body[i] <= 3) {
			*o++ = 3;
			zeros = 0;
		}
		zeros = body[i] == 0 ? zeros + 1 : 0;
		*o++ = body[i];
	}
	*o++ = 0x80;
	return o - out;
}

static GstBuffer *next_buffer(guint64 frame)
{
	const struct unit *u = &units[frame % unit_count];
	if (!stamping)
		return gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY, (gpointer)u->data, u->size, 0, u->size, NULL, NULL);
	guint8 *copy = g_malloc(u->size + 64);
	memcpy(copy, u->data, u->head);
	gsize n = u->head + stamp(copy + u->head, frame);
	memcpy(copy + n, u->data + u->head, u->size - u->head);
	return gst_buffer_new_wrapped(copy, n + u->size - u->head);
}

static gpointer feed(gpointer arg)
{
	GstAppSrc *src = arg;
	struct timespec next;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (guint64 frame = 0;; frame++) {
		GstBuffer *b = next_buffer(frame);
		GST_BUFFER_PTS(b) = GST_BUFFER_DTS(b) = frame * (GST_SECOND / RATE);
		GST_BUFFER_DURATION(b) = GST_SECOND / RATE;
		if (gst_app_src_push_buffer(src, b) != GST_FLOW_OK)
			break;
		next.tv_nsec += 1000000000 / RATE;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	gst_object_unref(src);
	return NULL;
}

static void configure(GstRTSPMediaFactory *factory, GstRTSPMedia *media, gpointer data)
{
	(void)factory;
	(void)data;
	GstElement *bin = gst_rtsp_media_get_element(media);
	GstElement *src = gst_bin_get_by_name_recurse_up(GST_BIN(bin), "src");
	g_thread_unref(g_thread_new("feed", feed, src));
	gst_object_unref(bin);
}

int main(int argc, char **argv)
{
	gst_init(&argc, &argv);
	if (argc != 4) {
		fprintf(stderr, "usage: server CLIP PORT STAMP\n");
		return 2;
	}
	gchar *data;
	gsize size;
	if (!g_file_get_contents(argv[1], &data, &size, NULL)) {
		fprintf(stderr, "gst server: can't read %s\n", argv[1]);
		return 1;
	}
	cut((guint8 *)data, size);
	stamping = atoi(argv[3]);

	GstRTSPServer *server = gst_rtsp_server_new();
	gst_rtsp_server_set_address(server, "127.0.0.1");
	gst_rtsp_server_set_service(server, argv[2]);
	gst_rtsp_server_set_backlog(server, 512);
	GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new();
	gst_rtsp_media_factory_set_launch(factory,
		"( appsrc name=src is-live=true format=time max-bytes=0 caps=\"video/x-h264,stream-format=byte-stream,"
		"alignment=au,width=1280,height=720,framerate=25/1\" ! h264parse ! rtph264pay name=pay0 pt=96 )");
	gst_rtsp_media_factory_set_shared(factory, TRUE);
	gst_rtsp_media_factory_set_latency(factory, 0);
	gst_rtsp_media_factory_set_suspend_mode(factory, GST_RTSP_SUSPEND_MODE_NONE);
	g_signal_connect(factory, "media-configure", G_CALLBACK(configure), NULL);
	GstRTSPMountPoints *mounts = gst_rtsp_server_get_mount_points(server);
	gst_rtsp_mount_points_add_factory(mounts, "/main", factory);
	g_object_unref(mounts);
	if (gst_rtsp_server_attach(server, NULL) == 0) {
		fprintf(stderr, "gst server: can't listen on port %s\n", argv[2]);
		return 1;
	}
	printf("rtsp://127.0.0.1:%s/main\n", argv[2]);
	fflush(stdout);
	g_main_loop_run(g_main_loop_new(NULL, FALSE));
	return 0;
}
