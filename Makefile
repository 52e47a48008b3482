# mod_dogpile: build, try, test.
#
#   make            build the module under build/
#   make help       list the targets
#   make demo       see it work: MapServer, httpd, a herd, a slippy map
#   make test       run every test; ends with a plain total
#   make bench      measure it beside its peers; writes docs/benchmarks.md
#
# Variables:
#   V=1                          show the commands
#   CC=clang                     another compiler
#   SANITIZE=address,undefined   build and test with sanitizers
#   APXS=/path/to/apxs           another httpd
#   DESTDIR=                     for install
#   JOBS=1                       make test: so many processors, not all

APXS ?= apxs
JOBS ?= $(shell nproc)
BUILD := build$(if $(SANITIZE),/sanitize)
Q := $(if $(V),,@)

# Rooms in dependency order: a room may include only rooms before it.
# tests/checks/layers.sh reads this line.
ROOMS := include base grid request policy image lock store flight httpd

LIB_ROOMS := $(filter-out include httpd,$(ROOMS))
# Back ends that are modules of their own: their files, their libraries.
REDIS_SRC := $(wildcard mod_dogpile/lock/redis_*.c mod_dogpile/lock/lock_redis*.c)
ZOOKEEPER_SRC := $(wildcard mod_dogpile/lock/lock_zookeeper*.c)
BACK_END_SRC := $(REDIS_SRC) $(ZOOKEEPER_SRC) \
                $(wildcard mod_dogpile/store/store_redis*.c)
LIB_SRC := $(filter-out $(BACK_END_SRC),\
             $(foreach r,$(LIB_ROOMS),$(wildcard mod_dogpile/$(r)/*.c)))
MOD_SRC := $(wildcard mod_dogpile/httpd/*.c)
TOOL_SRC := $(wildcard mod_dogpile/tools/*.c)
UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
CONTRACT_SRC := $(wildcard tests/contract/test_*.c)
CONTRACT_LIB := $(filter-out $(CONTRACT_SRC),$(wildcard tests/contract/*.c))
CHECK_LIB := tests/unit/unit.c
REPLAY_LIB := tests/fuzz/standalone.c

# Debian's packages: to build, and to run the demo and the tests.
DEB_BUILD := gcc libc6-dev pkg-config apache2-dev libapr1-dev \
             libaprutil1-dev libssl-dev libpng-dev libjpeg62-turbo-dev \
             zlib1g-dev libdeflate-dev libmemcached-dev libhiredis-dev libzookeeper-mt-dev \
             libyaml-dev
DEB_DEMO := apache2-bin cgi-mapserver libjs-leaflet fonts-dejavu-core python3 \
            util-linux
DEB_TEST := check python3-pytest python3-pytest-xdist python3-pil \
            python3-numpy curl openssl clang-format binutils memcached \
            redis-server redis-tools spin zookeeper default-jre-headless \
            iproute2 libfaketime glusterfs-server glusterfs-client man-db
DEB_BENCH := libapache2-mod-mapcache nginx-light varnish wrk

# Asked for only when something is built: a fresh machine has no apxs yet.
ifeq ($(origin CC),default)
CC = $(shell $(APXS) -q CC)
endif
HTTPD_CPPFLAGS = -I$(shell $(APXS) -q INCLUDEDIR)
# As a system's: clang finds fault with APR's macros.
APR_CPPFLAGS = $(subst -I,-isystem ,$(shell pkg-config --cflags apr-1 apr-util-1))
BACK_END_CPPFLAGS = $(shell pkg-config --cflags hiredis libmemcached)
APR_LIBS = $(shell pkg-config --libs apr-1 apr-util-1)
IMAGE_LIBS = $(shell pkg-config --libs libpng libjpeg zlib libdeflate)
LIB_LIBS = $(IMAGE_LIBS) $(shell pkg-config --libs libcrypto libmemcached yaml-0.1) \
           -lmemcachedutil -lm -lpthread
BACK_END_LIBS = $(shell pkg-config --libs hiredis libssl) -lzookeeper_mt
CHECK_LIBS = $(shell pkg-config --libs check)

MODULE_DIR = $(shell $(APXS) -q LIBEXECDIR)
INCLUDE_DIR = $(shell $(APXS) -q INCLUDEDIR)
bindir ?= /usr/bin
mandir ?= /usr/share/man
CONF_DIR = $(shell $(APXS) -q SYSCONFDIR)/mods-available

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Werror
DP_CPPFLAGS = -D_GNU_SOURCE -Imod_dogpile -Imod_dogpile/include $(APR_CPPFLAGS)
DP_CFLAGS = -std=gnu11 -g -O2 -fPIC -fvisibility=hidden -pthread $(WARNINGS) \
            $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
DP_LDFLAGS = $(if $(SANITIZE),-fsanitize=$(SANITIZE))

LIB := $(BUILD)/libdogpile.a
BACK_ENDS := $(BUILD)/libbackends.a
MODULE := $(BUILD)/modules/mod_dogpile.so
TOOL := $(BUILD)/bin/dogpile-lock
BACK_END_MODULES := $(patsubst mod_dogpile/modules/%.c,$(BUILD)/modules/%.so,\
                      $(wildcard mod_dogpile/modules/*.c))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
MOD_OBJ := $(MOD_SRC:%.c=$(BUILD)/obj/%.o)
UNIT_BIN := $(UNIT_SRC:tests/%.c=$(BUILD)/tests/%)
CONTRACT_BIN := $(CONTRACT_SRC:tests/%.c=$(BUILD)/tests/%)
FUZZ_BIN := $(FUZZ_SRC:tests/%.c=$(BUILD)/tests/%)

.PHONY: all
all: $(MODULE) $(BACK_END_MODULES) $(TOOL) ## build modules and command (the default)

$(LIB): $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(MODULE): $(MOD_OBJ) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) -shared $(DP_LDFLAGS) -o $@ $(MOD_OBJ) $(LIB) $(LIB_LIBS) $(APR_LIBS)

# For the tests, which reach every back end.
$(BACK_ENDS): $(call objects,$(BACK_END_SRC))
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/modules/mod_dogpile_%.so: $(BUILD)/obj/mod_dogpile/modules/mod_dogpile_%.o \
                                   $(BACK_ENDS) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) -shared -Wl,--as-needed $(DP_LDFLAGS) -o $@ $< $(BACK_ENDS) $(LIB) \
	    $(BACK_END_LIBS) $(LIB_LIBS) $(APR_LIBS)

# The command has every back end in it.
$(TOOL): $(call objects,$(TOOL_SRC)) $(BACK_ENDS) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) -Wl,--as-needed $(DP_LDFLAGS) -o $@ $(filter %.o,$^) $(BACK_ENDS) \
	    $(LIB) $(BACK_END_LIBS) $(LIB_LIBS) $(APR_LIBS)

# Cutting is what takes the processor's time.
$(BUILD)/obj/mod_dogpile/image/%.o: DP_CFLAGS += -O3
# The ZooKeeper client's headers want to be told that it has threads.
$(BUILD)/obj/mod_dogpile/lock/%.o: DP_CPPFLAGS += $(BACK_END_CPPFLAGS) -DTHREADED
$(BUILD)/obj/mod_dogpile/store/%.o: DP_CPPFLAGS += $(BACK_END_CPPFLAGS)
$(BUILD)/obj/tests/contract/%.o $(BUILD)/obj/tests/unit/lock/%.o \
$(BUILD)/obj/tests/bench/bench_lock.o: DP_CPPFLAGS += $(BACK_END_CPPFLAGS)
$(BUILD)/obj/mod_dogpile/tools/%.o: DP_CPPFLAGS += $(BACK_END_CPPFLAGS) -DTHREADED
$(BUILD)/obj/mod_dogpile/modules/%.o: DP_CPPFLAGS += $(HTTPD_CPPFLAGS) $(BACK_END_CPPFLAGS)
$(BUILD)/obj/mod_dogpile/httpd/%.o: DP_CPPFLAGS += $(HTTPD_CPPFLAGS)
$(BUILD)/obj/tests/%.o: DP_CPPFLAGS += -Itests/unit -Itests/contract

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(DP_CPPFLAGS) $(CPPFLAGS) $(DP_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# A unit or contract test is a program of its own.
$(UNIT_BIN): $(call objects,$(CHECK_LIB))
$(CONTRACT_BIN): $(call objects,$(CHECK_LIB) $(CONTRACT_LIB))
$(UNIT_BIN) $(CONTRACT_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o \
                             $(BACK_ENDS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -Wl,--as-needed $(DP_LDFLAGS) -o $@ $(filter %.o,$^) $(BACK_ENDS) \
	    $(LIB) $(BACK_END_LIBS) $(LIB_LIBS) $(APR_LIBS) $(CHECK_LIBS)

$(FUZZ_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o \
             $(REPLAY_LIB:%.c=$(BUILD)/obj/%.o) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(DP_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LIB_LIBS) $(APR_LIBS)

# Benchmarks: programs of their own.
BENCH_BIN := $(patsubst %,$(BUILD)/tests/bench/%,herd source bench_image bench_lock)
$(BUILD)/tests/bench/herd: $(call objects,tests/bench/herd_client.c)
$(BUILD)/tests/bench/source: $(call objects,tests/bench/source_album.c \
                              tests/bench/source_script.c)
$(BUILD)/tests/bench/bench_lock: $(call objects,$(CHECK_LIB) $(CONTRACT_LIB))
$(BENCH_BIN): $(BUILD)/tests/bench/%: $(BUILD)/obj/tests/bench/%.o \
              $(BACK_ENDS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -Wl,--as-needed $(DP_LDFLAGS) -o $@ $(filter %.o,$^) \
	    $(BACK_ENDS) $(LIB) $(BACK_END_LIBS) $(LIB_LIBS) $(APR_LIBS) \
	    $(CHECK_LIBS)

.PHONY: deps
deps: ## install what is missing of Debian's packages
	$(Q)tests/tools/deps.sh $(DEB_BUILD) $(DEB_DEMO) $(DEB_TEST)

.PHONY: demo
demo: deps ## see it work; ONCE=1 stops after the herd, PORT= moves it
	$(Q)$(MAKE) --no-print-directory all
	$(Q)ONCE=$(ONCE) PORT=$(PORT) /usr/bin/python3 tests/tools/demo.py --build build --module $(MODULE)

# The packages must be there before make asks pkg-config for their flags.
.PHONY: test
test: deps ## run every test; ends with a plain total
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) test-binaries
	$(Q)BUILD="$(BUILD)" UNIT="$(UNIT_BIN)" CONTRACT="$(CONTRACT_BIN)" \
	    FUZZ="$(FUZZ_BIN)" SANITIZE="$(SANITIZE)" JOBS="$(JOBS)" tests/run.sh

.PHONY: test-binaries
test-binaries: all $(UNIT_BIN) $(CONTRACT_BIN) $(FUZZ_BIN) $(BUILD)/tests/bench/herd

.PHONY: bench
bench: ## measure it beside its peers; ONLY=hits,herd-meta selects, QUICK=1
	$(Q)tests/tools/deps.sh $(DEB_BUILD) $(DEB_DEMO) $(DEB_TEST) $(DEB_BENCH)
	$(Q)$(MAKE) --no-print-directory all $(BENCH_BIN)
	$(Q)ONLY=$(ONLY) QUICK=$(QUICK) /usr/bin/python3 tests/bench/bench.py \
	    --build build --module $(MODULE)

.PHONY: bench-lock
bench-lock: deps ## what locks cost; writes a part of docs/design/locker-contract.md
	$(Q)$(MAKE) --no-print-directory all $(BENCH_BIN)
	$(Q)BUILD="$(BUILD)" /usr/bin/python3 tests/bench/cold_tile.py

.PHONY: install
install: all ## install module, configuration and headers where Debian's are
	install -d $(DESTDIR)$(MODULE_DIR) $(DESTDIR)$(CONF_DIR) \
	    $(DESTDIR)$(INCLUDE_DIR)/mod_dogpile $(DESTDIR)$(bindir) \
	    $(DESTDIR)$(mandir)/man1
	install -m 755 $(TOOL) $(DESTDIR)$(bindir)
	install -m 644 docs/man/dogpile-lock.1 $(DESTDIR)$(mandir)/man1
	install -m 644 $(MODULE) $(BACK_END_MODULES) $(DESTDIR)$(MODULE_DIR)
	install -m 644 conf/*.load conf/dogpile.conf $(DESTDIR)$(CONF_DIR)
	install -m 644 mod_dogpile/include/*.h \
	    $(DESTDIR)$(INCLUDE_DIR)/mod_dogpile

.PHONY: unit
unit: $(UNIT_BIN) ## build and run the unit tests
	$(Q)for t in $(UNIT_BIN); do $$t || exit 1; done

.PHONY: contract
contract: $(CONTRACT_BIN) ## build and run the contract tests
	$(Q)for t in $(CONTRACT_BIN); do $$t || exit 1; done

.PHONY: format
format: ## lay the C code out as .clang-format says
	clang-format -i $(shell git ls-files '*.c' '*.h')

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
