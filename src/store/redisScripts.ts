/**
 * The operations of the store as Lua scripts, one for each. Redis runs a script from beginning to
 * end without another command in between.
 *
 * The first write of a script decides what a Redis at `maxmemory` with `noeviction` does with it: a
 * command that may need memory is refused there, and the script with it, and any other lets the
 * whole script pass. So `acquire` begins with HSET: no new claim. The steps of a holder begin with
 * HDEL or PEXPIRE: what has begun can end, and is recorded.
 *
 * A script makes its step only where the record allows it, and always gives the record back: what
 * time it is, and the fields. A step can be repeated by its owner, so asking the pure record what
 * it thinks of the answer tells what has happened.
 */
import { sha1 } from "@noble/hashes/legacy"
import { bytesToHex } from "@noble/hashes/utils"
import { unfinishedMillis } from "../core/idempotencyRecord.js"
import * as Stored from "./storedRecord.js"

/** The fields of a record, in the order in which a script answers with them. */
export const fields = [
  "version",
  "state",
  "owner",
  "generation",
  "fingerprint",
  "recovered",
  "recovery_point",
  "outcome",
  "lease_until",
  "expires_at"
] as const

/**
 * How much longer than its record a key lives. Whether a record is over is decided by its fields;
 * the key is only what it takes up, and a clock of another machine may be a little behind.
 */
const graceMillis = 60_000

const whole = (value: number): string => value.toFixed(0)

/**
 * What all scripts know. The first argument is the time; without one Redis says what time it is.
 * Times are whole numbers of less than 54 bits.
 */
const prelude = `
local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or (time[1] * 1000 + math.floor(time[2] / 1000))
local function whole(number) return string.format('%.0f', number) end
local function load(key)
  local r = redis.call('HMGET', key, ${fields.map((field) => `'${field}'`).join(", ")})
  if redis.call('EXISTS', key) == 0 then return nil end
  local states = { in_progress = true, completed = true, released = true }
  return {
    raw = r, state = r[2], owner = r[3], fingerprint = r[5],
    generation = tonumber(r[4]), lease = tonumber(r[9]), expires = tonumber(r[10]),
    readable = r[1] == '${Stored.version}' and states[r[2]] ~= nil
      and tonumber(r[4]) ~= nil and tonumber(r[10]) ~= nil
      and (r[2] ~= 'in_progress' or tonumber(r[9]) ~= nil)
  }
end
local function live(r) return r.state ~= 'released' and r.expires > now end
local function keep(key, expires)
  redis.call('PEXPIRE', key, whole(math.max(1, expires - now + ${graceMillis})))
end
local function answer(key)
  local r = redis.call('HMGET', key, ${fields.map((field) => `'${field}'`).join(", ")})
  table.insert(r, whole(now))
  return r
end
`

/**
 * KEYS: the names of the key, the present one first. ARGV: time, fingerprint, owner, lease, how
 * long the record is kept.
 */
const acquire = `${prelude}
local fingerprint, owner, lease, kept = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local at, found = 1, nil
for i, key in ipairs(KEYS) do
  local r = load(key)
  if r and not r.readable then return answer(key) end
  if i == 1 then found = r end
  if r and live(r) then at, found = i, r break end
end
local generation, recovered, point = (found and found.generation or 0) + 1, '0', nil
if found and live(found) then
  if found.fingerprint ~= fingerprint or found.state == 'completed' then return answer(KEYS[at]) end
  if found.owner == owner then
    generation, recovered = found.generation, found.raw[6]
  elseif found.lease > now then
    return answer(KEYS[at])
  else
    recovered = '1'
  end
  point = found.raw[7]
end
redis.call('HSET', KEYS[1], 'version', '${Stored.version}', 'state', 'in_progress',
  'owner', owner, 'generation', whole(generation),
  'fingerprint', fingerprint, 'recovered', recovered,
  'lease_until', whole(now + lease), 'expires_at', whole(now + kept))
redis.call('HDEL', KEYS[1], 'outcome', 'recovery_point')
if point then redis.call('HSET', KEYS[1], 'recovery_point', point) end
keep(KEYS[1], now + kept)
if at > 1 then
  redis.call('DEL', KEYS[at])
  redis.call('HSET', KEYS[at], 'version', '${Stored.version}', 'state', 'released',
    'owner', owner, 'generation', whole(generation), 'expires_at', whole(now + lease))
  keep(KEYS[at], now + lease)
end
return answer(KEYS[1])
`

/** KEYS: the name of the record. ARGV: time, owner, generation, and what the step needs. */
const change = (step: string): string =>
  `${prelude}
local key, r = KEYS[1], load(KEYS[1])
if not r then return {} end
if r.readable and r.state == 'in_progress' and live(r)
  and r.owner == ARGV[2] and r.generation == tonumber(ARGV[3]) then
${step}
end
return answer(key)
`

const complete = change(`  local expires = now + tonumber(ARGV[5])
  redis.call('HDEL', key, 'recovery_point', 'lease_until')
  redis.call('HSET', key, 'state', 'completed', 'outcome', ARGV[4], 'expires_at', whole(expires))
  keep(key, expires)`)

const release = change(
  `  redis.call('HDEL', key, 'fingerprint', 'recovered', 'recovery_point', 'lease_until')
  redis.call('HSET', key, 'state', 'released', 'expires_at', whole(r.lease))
  keep(key, r.lease)`
)

const extend = change(`  local lease = now + tonumber(ARGV[4])
  local expires = math.max(r.expires, lease + ${unfinishedMillis})
  keep(key, expires)
  redis.call('HSET', key, 'lease_until', whole(lease), 'expires_at', whole(expires))`)

const savepoint = change(`  redis.call('HDEL', key, 'recovery_point')
  redis.call('HSET', key, 'recovery_point', ARGV[4])`)

/**
 * Goes on from where the last one stopped, over a bounded part of the keys, so that no other
 * command waits for long. ARGV: time, where to go on, pattern, limit. Gives back where it stopped
 * and how many it removed; what was released goes along and does not count.
 */
const sweep = `${prelude}
local cursor, limit, removed = ARGV[2], tonumber(ARGV[4]), 0
for _ = 1, 10 do
  local found = redis.call('SCAN', cursor, 'MATCH', ARGV[3], 'COUNT', 500)
  for _, key in ipairs(found[2]) do
    local r = redis.call('TYPE', key)['ok'] == 'hash' and load(key) or nil
    if r and r.readable and r.expires <= now then
      -- The rest of this part is looked at again.
      if removed >= limit then return { cursor, removed } end
      redis.call('DEL', key)
      if r.state ~= 'released' then removed = removed + 1 end
    end
  end
  cursor = found[1]
  if cursor == '0' then break end
end
return { cursor, removed }
`

/** A script, and the name under which Redis knows it once it has seen it. */
export interface Script {
  readonly text: string
  readonly hash: string
}

const script = (text: string): Script => ({
  text,
  hash: bytesToHex(sha1(new TextEncoder().encode(text)))
})

export const scripts = {
  acquire: script(acquire),
  complete: script(complete),
  release: script(release),
  extend: script(extend),
  savepoint: script(savepoint),
  sweep: script(sweep)
} as const

/** A duration as an argument. */
export const millis = (value: number): string => whole(Stored.wholeMillis(value))

/** Writes how long an unfinished record is kept, as an argument. */
export const keptMillis = (timeToLiveMillis: number, leaseMillis: number): string =>
  whole(
    Math.max(
      Stored.wholeMillis(timeToLiveMillis),
      Stored.wholeMillis(leaseMillis) + unfinishedMillis
    )
  )
