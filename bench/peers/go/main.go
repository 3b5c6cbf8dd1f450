// franz-go on the bench. In: a task, as bench/README.md says it; out: a line with what was done, then it waits for the end of its
// input, so that others can look at what this process took.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	partitions  = 4
	valueLength = 100
	warmUp      = 500
)

type peer struct {
	bootstrap, topic, codec string
	count                   int
	values                  []byte
}

func main() {
	task := os.Args[1:]
	if len(task) != 6 {
		panic("TASK NAME BOOTSTRAP TOPIC CODEC COUNT")
	}
	p := peer{bootstrap: task[2], topic: task[3], codec: task[4]}
	p.count = must(strconv.Atoi(task[5]))
	p.values = must(os.ReadFile(os.Getenv("KLAMM_BENCH_VALUES")))
	switch task[0] {
	case "produce":
		p.produce()
	case "consume":
		p.consume()
	case "ping":
		p.ping()
	case "echo":
		p.echo()
	default:
		panic(task[0])
	}
}

func (p *peer) produce() {
	client := p.client(kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(250_000))
	ctx := context.Background()
	var failure atomic.Pointer[error]
	// Records and their keys come back here and are used again.
	pool := sync.Pool{New: func() any { return &kgo.Record{Key: make([]byte, 8)} }}
	done := func(record *kgo.Record, err error) {
		if err != nil {
			failure.Store(&err)
		}
		key := record.Key
		*record = kgo.Record{Key: key}
		pool.Put(record)
	}
	for i := range p.count {
		record := pool.Get().(*kgo.Record)
		record.Topic, record.Value = p.topic, p.value(i)
		binary.BigEndian.PutUint64(record.Key, uint64(i))
		client.Produce(ctx, record, done)
	}
	check(client.Flush(ctx))
	if err := failure.Load(); err != nil {
		panic(*err)
	}
	report(p.count, p.count*valueLength, nil)
}

func (p *peer) consume() {
	client := p.client(p.fromTheStart(), kgo.WithPools(&pools{}))
	records, bytes := 0, 0
	for records < p.count {
		fetches := client.PollFetches(context.Background())
		check(fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			records++
			bytes += len(record.Value)
			record.Recycle()
		})
	}
	report(records, bytes, nil)
}

func (p *peer) ping() {
	client := p.client(kgo.ProducerLinger(0))
	took := make([]int64, 0, p.count)
	for i := -warmUp; i < p.count; i++ {
		start := time.Now()
		check(client.ProduceSync(context.Background(), p.record(i)).FirstErr())
		if i >= 0 {
			took = append(took, time.Since(start).Nanoseconds())
		}
	}
	report(p.count, 0, took)
}

func (p *peer) echo() {
	client := p.client(kgo.ProducerLinger(0), p.fromTheStart())
	ctx := context.Background()
	took := make([]int64, 0, p.count)
	acknowledged := make(chan error, 1)
	for i := -warmUp; i < p.count; i++ {
		start := time.Now()
		client.Produce(ctx, p.record(i), func(_ *kgo.Record, err error) { acknowledged <- err })
		for {
			fetches := client.PollFetches(ctx)
			check(fetches.Err())
			if !fetches.Empty() {
				break
			}
		}
		if i >= 0 {
			took = append(took, time.Since(start).Nanoseconds())
		}
		check(<-acknowledged)
	}
	report(p.count, 0, took)
}

func (p *peer) value(i int) []byte {
	count := len(p.values) / valueLength
	at := ((i%count + count) % count) * valueLength
	return p.values[at : at+valueLength]
}

func (p *peer) record(i int) *kgo.Record {
	key := binary.BigEndian.AppendUint64(nil, uint64(i))
	return &kgo.Record{Topic: p.topic, Key: key, Value: p.value(i)}
}

func (p *peer) client(options ...kgo.Opt) *kgo.Client {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(),
		"lz4":  kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression(),
	}
	options = append(options,
		kgo.SeedBrokers(p.bootstrap),
		kgo.ProducerBatchCompression(codecs[p.codec]),
	)
	return must(kgo.NewClient(options...))
}

func (p *peer) fromTheStart() kgo.Opt {
	offsets := map[int32]kgo.Offset{}
	for partition := range int32(partitions) {
		offsets[partition] = kgo.NewOffset().At(0)
	}
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.topic: offsets})
}

// pools keeps what fetching needs: inflated bytes and record slices.
type pools struct{ bytes, raw, records sync.Pool }

func (p *pools) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	return get[byte](&p.bytes, 4*len(compressed))
}
func (p *pools) PutDecompressBytes(bytes []byte)   { put(&p.bytes, bytes) }
func (p *pools) GetKRecords(n int) []kmsg.Record   { return get[kmsg.Record](&p.raw, n) }
func (p *pools) PutKRecords(records []kmsg.Record) { put(&p.raw, records) }
func (p *pools) GetRecords(n int) []kgo.Record     { return get[kgo.Record](&p.records, n) }
func (p *pools) PutRecords(records []kgo.Record)   { put(&p.records, records) }

func get[T any](pool *sync.Pool, n int) []T {
	if kept, ok := pool.Get().(*[]T); ok && cap(*kept) >= n {
		return (*kept)[:0]
	}
	return make([]T, 0, n)
}

func put[T any](pool *sync.Pool, slice []T) { pool.Put(&slice) }

func report(records, bytes int, took []int64) {
	slices.Sort(took)
	median, worst := int64(0), int64(0)
	if len(took) > 0 {
		median, worst = took[len(took)/2], took[len(took)*99/100]
	}
	fmt.Println(records, bytes, median, worst)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}
