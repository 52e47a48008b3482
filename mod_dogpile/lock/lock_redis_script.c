/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of the redis locker, as redis runs them: each script is atomic,
 * looks at one lock and judges by redis' own clock. docs/design/redis.md says
 * what the keys hold; this file is their only reader and writer.
 *
 *     KEYS[1]  a string: the exclusive lease; redis ends it (PX)
 *                  <token> <since> <lease> <holder's text>
 *              or a hash: the shared ones by token
 *                  <until> <since> <lease> <holder's text>
 *     KEYS[2]  the wish, like an exclusive lease
 *
 * What leaves a script is a number, a word, or the time and a line a lease:
 *     <token> <kind> <until> <since> <lease> <holder's text>
 *
 * The invariant: the string is set only where there is no key (NX), and the
 * hash only where there is no string, so redis itself keeps the two apart.
 */
#include "lock/lock_redis.h"

/* Times are microseconds: doubles, exact below 2^53, which tostring() would
 * round to 14 digits. */
#define CLOCK                                                                  \
    "local t = redis.call('TIME')\n"                                           \
    "local now = t[1] * 1000000 + t[2]\n"                                      \
    "local function int(n) return string.format('%.0f', n) end\n"              \
    "local function ms(usec) return int(math.ceil(usec / 1000)) end\n"

_Static_assert(DP_REDIS_SHOWN_MAX == 32 && DP_REDIS_SHARED_MAX == 1024,
               "the numbers in the scripts");

/* leases(): those on a key that aren't over, and the key's type. A string is
 * there until redis ends it, so its end is told rounded up: nobody may take it
 * for over while its holder can still renew it. Without an end (PERSIST) it is
 * over. */
#define LEASES                                                                 \
    "local function single(key, kind)\n"                                       \
    "  local left = redis.call('PTTL', key)\n"                                 \
    "  local value = redis.call('GET', key)\n"                                 \
    "  local token, rest = string.match(value, '^(%x+) (.*)$')\n"              \
    "  return token .. ' ' .. kind .. ' ' .. int(now + (left + 1) * 1000)\n"   \
    "      .. ' ' .. rest\n"                                                   \
    "end\n"                                                                    \
    "local function shared(key, purge)\n"                                      \
    "  local lines = {}\n"                                                     \
    "  local all = redis.call('HGETALL', key)\n"                               \
    "  for i = 1, #all, 2 do\n"                                                \
    "    if tonumber(string.match(all[i + 1], '^%d+')) <= now then\n"          \
    "      if purge then redis.call('HDEL', key, all[i]) end\n"                \
    "    elseif #lines < 32 then\n"                                            \
    "      lines[#lines + 1] = all[i] .. ' s ' .. all[i + 1]\n"                \
    "    end\n"                                                                \
    "  end\n"                                                                  \
    "  return lines\n"                                                         \
    "end\n"                                                                    \
    "local function leases(key, purge)\n"                                      \
    "  local kind = redis.call('TYPE', key).ok\n"                              \
    "  if kind == 'string' then return {single(key, 'x')}, kind end\n"         \
    "  if kind == 'hash' then return shared(key, purge), kind end\n"           \
    "  if kind ~= 'none' then error('not a lock: ' .. key) end\n"              \
    "  return {}, kind\n"                                                      \
    "end\n"                                                                    \
    "local function answer(lines)\n"                                           \
    "  return int(now) .. '\\n' .. table.concat(lines, '\\n')\n"               \
    "end\n"

/* A wish is kept up when half of its time has gone. That it can't be written
 * (a full server) changes no answer. */
#define WISH                                                                   \
    "local function wish(token, usec, rest)\n"                                 \
    "  if redis.call('PTTL', KEYS[2]) < usec / 2000 then\n"                    \
    "    redis.pcall('SET', KEYS[2], token .. ' ' .. int(now) .. ' '\n"        \
    "        .. usec .. ' ' .. rest, 'PX', ms(usec))\n"                        \
    "  end\n"                                                                  \
    "end\n"

/* The key lives as long as its longest lease. */
#define KEEP                                                                   \
    "local function keep(usec)\n"                                              \
    "  local left = tonumber(ms(usec))\n"                                      \
    "  if redis.call('PTTL', KEYS[1]) < left then\n"                           \
    "    redis.call('PEXPIRE', KEYS[1], left)\n"                               \
    "  end\n"                                                                  \
    "end\n"

/* That nobody may hear it changes no answer. */
#define TELL                                                                   \
    "if gone > 0 then redis.pcall('PUBLISH', ARGV[1], ARGV[2]) end\n"          \
    "return gone\n"

/* ARGV: token, kind, lease, holder's text, time of a wish. A call that is
 * repeated because its answer was lost finds its own token: mine. */
static const char acquire[] = CLOCK LEASES WISH KEEP
    "local token, kind, usec, rest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]\n"
    "local lines, type = leases(KEYS[1], true)\n"
    "local value = int(now) .. ' ' .. usec .. ' ' .. rest\n"
    "local mine = redis.status_reply('MINE')\n"
    "if kind == 'x' then\n"
    "  if redis.call('SET', KEYS[1], token .. ' ' .. value,\n"
    "      'NX', 'PX', ms(usec)) then\n"
    "    redis.call('DEL', KEYS[2])\n"
    "    return mine\n"
    "  end\n"
    "  if type == 'hash' then wish(token, ARGV[5], rest)\n"
    "  elseif string.sub(lines[1], 1, #token) == token then return mine end\n"
    "  return answer(lines)\n"
    "end\n"
    "if type == 'string' then return answer(lines) end\n"
    "if redis.call('EXISTS', KEYS[2]) == 1 then\n"
    "  return answer({single(KEYS[2], 'w')})\n"
    "end\n"
    "if redis.call('HLEN', KEYS[1]) >= 1024 then\n"
    "  return redis.error_reply('FULL too many shared leases on one lock')\n"
    "end\n"
    "redis.call('HSET', KEYS[1], token, int(now + usec) .. ' ' .. value)\n"
    "keep(usec)\n"
    "return mine\n";

/* ARGV: token, lease. The common case of an exclusive one needs no memory, so
 * that it works on a full server. */
static const char renew[] = CLOCK KEEP
    "local token, usec = ARGV[1], ARGV[2]\n"
    "local kind = redis.call('TYPE', KEYS[1]).ok\n"
    "local words = '^(%x+) (%d+) (%d+) (.*)$'\n"
    "if kind == 'string' then\n"
    "  local holder, since, lease, rest =\n"
    "      string.match(redis.call('GET', KEYS[1]), words)\n"
    "  if holder ~= token then return 0 end\n"
    "  if lease == usec then\n"
    "    redis.call('PEXPIRE', KEYS[1], ms(usec))\n"
    "  else\n"
    "    redis.call('SET', KEYS[1], token .. ' ' .. since .. ' ' .. usec\n"
    "        .. ' ' .. rest, 'PX', ms(usec))\n"
    "  end\n"
    "  return 1\n"
    "end\n"
    "local value = kind == 'hash' and redis.call('HGET', KEYS[1], token)\n"
    "if not value then return 0 end\n"
    "local ends, since, lease, rest = string.match(value, words)\n"
    "if tonumber(ends) <= now then return 0 end\n"
    "redis.call('HSET', KEYS[1], token, int(now + usec) .. ' ' .. since\n"
    "    .. ' ' .. usec .. ' ' .. rest)\n"
    "keep(usec)\n"
    "return 1\n";

/* ARGV: channel, message, tokens. How many of them held. */
static const char release[] =
    CLOCK "local gone = 0\n"
          "local function begins(key, token)\n"
          "  local value = redis.call('GET', key)\n"
          "  return value and string.sub(value, 1, #token) == token\n"
          "end\n"
          "for i = 3, #ARGV do\n"
          "  local kind = redis.call('TYPE', KEYS[1]).ok\n"
          "  if kind == 'string' and begins(KEYS[1], ARGV[i]) then\n"
          "    gone = gone + redis.call('DEL', KEYS[1])\n"
          "  elseif kind == 'hash' then\n"
          "    local value = redis.call('HGET', KEYS[1], ARGV[i])\n"
          "    redis.call('HDEL', KEYS[1], ARGV[i])\n"
          "    if value and tonumber(string.match(value, '^%d+')) > now then\n"
          "      gone = gone + 1\n"
          "    end\n"
          "  end\n"
          "  if begins(KEYS[2], ARGV[i]) then redis.call('DEL', KEYS[2]) end\n"
          "end\n" TELL;

/* ARGV: kind, token and time of a wish, holder's text. */
static const char look[] = CLOCK LEASES WISH
    "local lines, type = leases(KEYS[1])\n"
    "if ARGV[1] == 'x' and type == 'hash' and #lines > 0 then\n"
    "  wish(ARGV[2], ARGV[3], ARGV[4])\n"
    "end\n"
    "if ARGV[1] == 's' and type ~= 'string' then\n"
    "  lines = {}\n"
    "  if redis.call('EXISTS', KEYS[2]) == 1 then\n"
    "    lines = {single(KEYS[2], 'w')}\n"
    "  end\n"
    "end\n"
    "if #lines == 0 then return redis.status_reply('FREE') end\n"
    "return answer(lines)\n";

/* ARGV: channel, message. Whatever is there goes. */
static const char break_lock[] =
    CLOCK LEASES "local gone = redis.call('EXISTS', KEYS[1])\n"
                 "if redis.call('TYPE', KEYS[1]).ok == 'hash' then\n"
                 "  gone = #shared(KEYS[1])\n"
                 "end\n"
                 "redis.call('DEL', KEYS[1])\n"
                 "redis.call('DEL', KEYS[2])\n" TELL;

/* ARGV: cursor, how many keys to look at. What isn't ours is left out. */
static const char list[] = CLOCK LEASES
    "local page = redis.call('SCAN', ARGV[1], 'MATCH', 'dogpile:{*}:lock',\n"
    "    'COUNT', ARGV[2])\n"
    "local lines = {}\n"
    "for _, key in ipairs(page[2]) do\n"
    "  local good, found = pcall(leases, key)\n"
    "  for _, line in ipairs(good and found or {}) do\n"
    "    lines[#lines + 1] = line\n"
    "  end\n"
    "end\n"
    "return page[1] .. '\\n' .. answer(lines)\n";

void dp_lock_scripts_make(dp_redis_script_t scripts[DP_SCRIPTS])
{
    dp_redis_script_make(&scripts[DP_SCRIPT_ACQUIRE], acquire, "2");
    dp_redis_script_make(&scripts[DP_SCRIPT_RENEW], renew, "2");
    dp_redis_script_make(&scripts[DP_SCRIPT_RELEASE], release, "2");
    dp_redis_script_make(&scripts[DP_SCRIPT_LOOK], look, "2");
    dp_redis_script_make(&scripts[DP_SCRIPT_BREAK], break_lock, "2");
    dp_redis_script_make(&scripts[DP_SCRIPT_LIST], list, "0");
}
