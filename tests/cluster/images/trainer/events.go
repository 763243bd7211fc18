package main

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// TensorBoard's event files are TFRecord files: a length, its checksum, that many bytes, and their
// checksum. The bytes are a protocol buffer, tensorflow.Event, of which only these fields are used:
//
//	Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
//	Summary { repeated Value value = 1; }   Value { string tag = 1; float simple_value = 2; }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) uint32 {
	sum := crc32.Checksum(data, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// record frames data as TFRecord does.
func record(data []byte) []byte {
	framed := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	framed = binary.LittleEndian.AppendUint32(framed, checksum(framed))
	framed = append(framed, data...)
	return binary.LittleEndian.AppendUint32(framed, checksum(data))
}

// versionEvent is the first of a file.
func versionEvent(time float64) []byte {
	return appendBytes(appendDouble(nil, 1, time), 3, []byte("brain.Event:2"))
}

func scalarEvent(time float64, step int, tag string, value float64) []byte {
	scalar := appendFloat(appendBytes(nil, 1, []byte(tag)), 2, float32(value))
	event := appendDouble(nil, 1, time)
	event = binary.AppendUvarint(append(event, 2<<3), uint64(step))
	return appendBytes(event, 5, appendBytes(nil, 1, scalar))
}

func appendBytes(message []byte, field byte, value []byte) []byte {
	message = binary.AppendUvarint(append(message, field<<3|2), uint64(len(value)))
	return append(message, value...)
}

func appendDouble(message []byte, field byte, value float64) []byte {
	return binary.LittleEndian.AppendUint64(append(message, field<<3|1), math.Float64bits(value))
}

func appendFloat(message []byte, field byte, value float32) []byte {
	return binary.LittleEndian.AppendUint32(append(message, field<<3|5), math.Float32bits(value))
}
