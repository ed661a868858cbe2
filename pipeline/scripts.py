"""What Redis does in one step: small scripts, each on the keys of one shard. All of them may be repeated."""

from typing import Final

MAKE_GROUP: Final = """
redis.call('XDEL', KEYS[1], '0-0')
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, '^BUSYGROUP') then
  return made
end
return 1
"""
"""Makes a stream and its group where they are missing. Keys: stream. Arguments: group.

It deletes first, if nothing: where memory is full, Redis refuses to begin, but never stops half-way, and it is the
group's workers that make room.
"""

SETTLE: Final = """
local stream, group, id = KEYS[1], ARGV[1], ARGV[2]
if redis.call('XACK', stream, group, id) == 0 then
  return 0
end
redis.call('XDEL', stream, id)
local at = 4
for _, target in ipairs({KEYS[2], KEYS[3]}) do
  local count = tonumber(ARGV[at])
  if count > 0 then
    local call = {'XADD', target}
    if target == KEYS[3] then
      call = {'XADD', target, 'MAXLEN', ARGV[3]}
    end
    call[#call + 1] = '*'
    for i = at + 1, at + count do
      call[#call + 1] = ARGV[i]
    end
    redis.call(unpack(call))
  end
  at = at + count + 1
end
return 1
"""
"""Acknowledges and deletes an entry, adds its successor and its dead letter; nothing where it is settled already.

Keys: stream, successor's stream, dead letters. Arguments: group, id, dead letters to keep, then twice a number and so
many names and values. It acknowledges first: where memory is full, Redis refuses to begin, but never stops half-way.
"""

KEEP: Final = """
for i = 3, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if pending[1] and pending[1][2] == ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  end
end
return 1
"""
"""Says that a consumer still works on entries, as far as they are still its own. Arguments: group, consumer, ids."""

HAND_BACK: Final = """
for i = 4, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if pending[1] and pending[1][2] == ARGV[2] then
    local count = math.max(0, pending[1][4] - 1)
    redis.call('XCLAIM', KEYS[1], ARGV[1], 'handed-back', 0, ARGV[i],
               'IDLE', ARGV[3], 'RETRYCOUNT', count, 'JUSTID')
  end
end
return 1
"""
"""Gives entries up as if idle for long, without counting the try. Arguments: group, consumer, idle (ms), ids."""

FORGET: Final = """
for _, found in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #found, 2 do
    consumer[found[i]] = found[i + 1]
  end
  if consumer.pending == 0 and (consumer.name == ARGV[2] or consumer.idle > tonumber(ARGV[3])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
  end
end
return 1
"""
"""Removes consumers that hold nothing: the named one, and those idle for too long. Arguments: group, name, idle."""

PUBLISH: Final = """
local now = redis.call('HGET', KEYS[3], ARGV[1])
local status, id = 1, '0-0'
if now == ARGV[3] then
  status = 2
elseif now and now ~= ARGV[2] then
  status = 0
else
  local at = 4
  while at <= #ARGV do
    local call = {'XADD', KEYS[1], '*'}
    for i = at + 1, at + tonumber(ARGV[at]) do
      call[#call + 1] = ARGV[i]
    end
    id = redis.call(unpack(call))
    at = at + tonumber(ARGV[at]) + 1
  end
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
end
return {status, redis.call('XLEN', KEYS[1]) + redis.call('XLEN', KEYS[2]), id}
"""
"""Adds messages of a camera and notes its progress, if that still is what the publisher believes it to be.

Keys: frames, faces, runs. Arguments: camera, progress before, progress after, then for each message a number and so
many names and values. Returns 1 for done, 2 for done before (the answer was lost), 0 for refused: the camera has
another publisher now; how many entries of the shard wait; and the id of the last message, 0-0 if it is not known.
"""

PRESSURE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local waiting, age, first = 0, 0, ''
for i, stream in ipairs(KEYS) do
  waiting = waiting + redis.call('XLEN', stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  local last = '0-0'
  if not groups.err then
    for _, found in ipairs(groups) do
      for k = 1, #found, 2 do
        if found[k] == 'last-delivered-id' then
          last = found[k + 1]
        end
      end
    end
  end
  local head = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)
  if head[1] then
    age = math.max(age, now - tonumber(string.match(head[1][1], '^%d+')))
    if i == 1 then
      first = head[1][1]
    end
  end
end
return {waiting, age, first}
"""
"""How many entries of a shard wait, and the first that nobody has taken: for how many ms it has waited, and its id.

Keys: streams; the id is that of the first stream, empty where all are taken. Entries are taken in the order of ids.
"""

RETRY: Final = """
if redis.call('XDEL', KEYS[2], ARGV[1]) == 0 then
  return 0
end
local call = {'XADD', KEYS[1], '*'}
for i = 2, #ARGV do
  call[#call + 1] = ARGV[i]
end
redis.call(unpack(call))
return 1
"""
"""Puts a dead letter back. Keys: stream, dead letters. Arguments: its id, then names and values."""
