/**
 * The exchange as one Lua script: what `core/fleetStore` does, on the keys of one fleet.
 *
 * All keys of a fleet are in one slot of a cluster, and all that are written are named: while a
 * slot moves, the server refuses the script before it begins. KEYS: the fleet, its members, when
 * each of them lapses, when each is forgotten, their names, the changes; then those of each
 * command, in their order. ARGV: the time (empty: the server's), the batch, what an operator reads
 * of the member, the channel of pushes (empty: none).
 *
 * Times are the fleet's own, from 0 on: it passes by as much as the server's clock advances between
 * two exchanges, so that a clock that steps back, or that of another server, does no harm.
 *
 * The first write is a SET, which a server at `maxmemory` refuses, and the script with it; and a
 * SET replaces a value of any type. The other keys of the fleet are looked at by their type first.
 */
import { sha1 } from "@noble/hashes/legacy"
import { bytesToHex } from "@noble/hashes/utils"
import { membersPage, pageSize } from "../../core/fleetWire.js"
import type { Script } from "../../store/redisScripts.js"
import * as Commands from "./commands.js"
import { storage } from "./records.js"

/** How many keys each command has. */
export const keysOf = {
  circuit: 3,
  order: 1,
  cooldown: 1,
  line: 1,
  permits: 4
} as const

/** For how many timeouts the sequence of a silent member is remembered. */
const rememberedTimeouts = 12

/** How long a fleet is remembered after its last word, and after the end of its last record. */
const keptMillis = 3_600_000

const beginning = `
local time = redis.call('TIME')
local clock = tonumber(ARGV[1]) or (time[1] * 1000 + math.floor(time[2] / 1000))
local batch = cjson.decode(ARGV[2])
local now, fleet = 0, nil
local changed, news, does = {}, {}, {}
local base = string.sub(KEYS[1], 1, -2)
local mark = string.gsub(string.sub(redis.sha1hex(batch.member), 1, 12), '..', function(hex)
  return string.char(tonumber(hex, 16))
end)
do
  local ok, found = false, redis.pcall('GET', KEYS[1])
  if type(found) == 'string' and #found < 4096 then ok, found = pcall(cmsgpack.unpack, found) end
  if ok and type(found) == 'table' and type(found.seed) == 'string' and type(found.at) == 'number'
    and type(found.now) == 'number' and found.now >= 0 and found.now <= 1e15
    and type(found.clock) == 'number' and found.clock == found.clock
    and type(found.version) == 'number' and found.version >= 0
    and found.version <= 9007199254740000 and found.changes == redis.pcall('ZCARD', KEYS[6])
    and type(found.expires) == 'number' and found.expires <= found.now + 6.4e12 then
    fleet = found
    now = found.now + math.min(6.4e12, math.max(0, clock - found.clock))
  end
end
`

const questions = `
local function seen(name)
  local packed = redis.pcall('HGET', KEYS[2], name)
  if type(packed) ~= 'string' then return nil end
  local ok, m = pcall(cmsgpack.unpack, packed)
  if ok and type(m) == 'table' and is(m[1], -huge, huge) and is(m[2], -huge, huge)
    and is(m[3], 0, far) and is(m[4], 0, far) and is(m[5], 0, far) and type(m[6]) == 'string' then
    return m
  end
end
local function living()
  local count = redis.pcall('ZCOUNT', KEYS[3], '(' .. num(now), '+inf')
  return num(type(count) == 'number' and count or 0)
end
local function reply(stale, incarnation, version, more, changes, answers)
  return '{"v":1,"stale":' .. bool(stale) .. ',"incarnation":' .. num(incarnation)
    .. ',"seed":' .. text(fleet.seed) .. ',"members":' .. living()
    .. ',"version":' .. num(version) .. ',"more":' .. bool(more)
    .. ',"changes":[' .. table.concat(changes, ',') .. '],"answers":['
    .. table.concat(answers, ',') .. ']}'
end

local last = fleet and seen(batch.member)
local isStale = last and last[5] > now and (batch.incarnation < last[1]
  or (batch.incarnation == last[1] and batch.sequence <= last[2]))

-- From here on it writes.
local isNew = fleet == nil
if isNew then
  fleet = { seed = batch.seed, version = 0, expires = 0, at = 0, changes = 0 }
end
fleet.now, fleet.clock = now, clock
fleet.of = string.sub(redis.sha1hex(fleet.seed), 1, 12)
local function keep()
  fleet.expires = math.max(fleet.expires, now + 12 * batch.memberTimeout, now + ${keptMillis})
  local of = fleet.of
  fleet.of = nil
  redis.call('SET', KEYS[1], cmsgpack.pack(fleet), 'PX', ttl(fleet.expires))
  fleet.of = of
end
keep()
if isNew then redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]) end
if isStale then return reply(true, last[1], 0, false, {}, {}) end
for i, kind in ipairs({ 'hash', 'zset', 'zset', 'zset' }) do
  local found = redis.call('TYPE', KEYS[i + 1])['ok']
  if found ~= kind and found ~= 'none' then redis.call('DEL', KEYS[i + 1]) end
end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', num(now))
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', num(now), 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[2], name)
  redis.call('ZREM', KEYS[4], name)
  redis.call('ZREM', KEYS[5], name)
end
do
  local ends = now + batch.memberTimeout
  local forgotten = now + ${rememberedTimeouts} * batch.memberTimeout
  redis.call('HSET', KEYS[2], batch.member,
    cmsgpack.pack({ batch.incarnation, batch.sequence, now, ends, forgotten, ARGV[3] }))
  redis.call('ZADD', KEYS[4], num(forgotten), batch.member)
  redis.call('ZADD', KEYS[5], 0, batch.member)
  if batch.last then redis.call('ZREM', KEYS[3], batch.member)
  else redis.call('ZADD', KEYS[3], num(ends), batch.member) end
end

-- Forgets a few changes whose record is gone, each in its turn.
do
  local count = redis.call('ZCARD', KEYS[6])
  if count > 0 then
    fleet.at = fleet.at >= 0 and fleet.at < count and math.floor(fleet.at) or 0
    for _, name in ipairs(redis.call('ZRANGE', KEYS[6], fleet.at, fleet.at + 3)) do
      if redis.pcall('EXISTS', base .. 'r:' .. name) == 0 then redis.call('ZREM', KEYS[6], name) end
    end
    fleet.at = fleet.at + 4
  end
end
`

const members = `
local function list(after)
  local rows, page, from = {}, '', after == '' and '-' or '(' .. after
  while true do
    local names = redis.call('ZRANGEBYLEX', KEYS[5], from, '+', 'LIMIT', 0, ${membersPage})
    for _, name in ipairs(names) do
      from = '(' .. name
      local m = seen(name)
      local ends = m and redis.call('ZSCORE', KEYS[3], name)
      if ends and tonumber(ends) > now then
        if #rows == ${membersPage} then return rows, page end
        table.insert(rows, '[' .. num(now - m[3]) .. ',' .. text(m[6]) .. ']')
        page = name
      end
    end
    if #names < ${membersPage} then return rows, '' end
  end
end
local function membersAnswer(c)
  local rows, page = list(c.after)
  return '{"op":"members","list":[' .. table.concat(rows, ',') .. '],"next":' .. text(page) .. '}'
end
`

const ending = `
local kinds = {
  count = 'circuit', open = 'circuit', close = 'circuit', trial = 'circuit', trialEnd = 'circuit',
  order = 'order', isolate = 'order', release = 'order', tokens = 'line', hold = 'cooldown',
  probe = 'cooldown', probeEnd = 'cooldown', permits = 'permits'
}
local keys = { circuit = ${keysOf.circuit}, order = ${keysOf.order}, cooldown = ${keysOf.cooldown},
  line = ${keysOf.line}, permits = ${keysOf.permits} }
local answers, at = {}, 7
for i, c in ipairs(batch.commands) do
  if c.op == 'members' then
    answers[i] = membersAnswer(c)
  else
    local kind = c.op == 'known' and c.view.kind or kinds[c.op]
    local r, epoch = load(kind, c.op == 'known' and c.view.name or c.name, at)
    answers[i] = does[c.op](r, c)
    store(r, epoch)
    at = at + keys[kind]
  end
end

local since = batch.knows == fleet.seed and batch.since <= fleet.version and batch.since or 0
local changes, more, version = {}, false, fleet.version
if since < fleet.version then
  local found = redis.call('ZRANGEBYSCORE', KEYS[6], '(' .. num(since), '+inf', 'WITHSCORES',
    'LIMIT', 0, ${pageSize + 1})
  local read = since
  for i = 1, #found, 2 do
    local name, score = found[i], tonumber(found[i + 1])
    if i > ${2 * pageSize} then
      more, version = true, read
      break
    end
    local r = changed[name]
    if not r then
      local key = base .. 'r:' .. name
      local packed = redis.pcall('GET', key)
      -- It moves to another server with its slot: the changes after it are told of later.
      if type(packed) == 'table' and not string.find(packed.err, 'WRONGTYPE') then
        version = read
        break
      end
      r = unpacked(key)
    end
    if r and told[r.kind] and readable(r, r.kind) and r.expires > now then
      table.insert(changes, view(r, name))
    else
      redis.call('ZREM', KEYS[6], name)
    end
    read = score
  end
end

fleet.changes = redis.call('ZCARD', KEYS[6])
keep()
for i = 2, 6 do redis.call('PEXPIRE', KEYS[i], ttl(fleet.expires)) end
if #news > 0 and ARGV[4] ~= '' then
  local views = {}
  for i, name in ipairs(news) do views[i] = view(changed[name], name) end
  redis.pcall('PUBLISH', ARGV[4], '[' .. table.concat(views, ',') .. ']')
end
return reply(false, batch.incarnation, version, more, changes, answers)
`

const lua = [
  beginning,
  storage,
  questions,
  Commands.circuits,
  Commands.orders,
  Commands.limits,
  members,
  ending
].join("")

/** The exchange. */
export const exchange: Script = {
  text: lua,
  hash: bytesToHex(sha1(new TextEncoder().encode(lua)))
}
