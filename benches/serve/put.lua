-- PUTs the bytes of a file under ever new names: PREFIX/NN/NNNNNN.jpg, in sixteen folders.
-- Arguments: the prefix, with a slash in front; the file.
local prefix, body, count = nil, nil, 0
local folders = 16

function init(arguments)
  prefix = arguments[1]
  local file = assert(io.open(arguments[2], "rb"))
  body = file:read("*a")
  file:close()
end

function request()
  local path = string.format("%s/%02d/%06d.jpg", prefix, count % folders, count)
  count = count + 1
  return wrk.format("PUT", path, nil, body)
end
