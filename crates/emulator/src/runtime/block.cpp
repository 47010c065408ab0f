// SPDX-License-Identifier: Apache-2.0
// Runs a grid on the calling CPU thread: one block at a time, each CUDA thread on a fiber.
//
// A fiber starts threads of the block one after another on its stack. Where a thread has to wait at a collective it keeps
// the fiber, and the others go on from the next one. Whoever completes a collective works out what each participant
// receives and makes them ready; so no thread ever waits for one that has already gone past. When nobody is ready, nobody
// is left to start and somebody waits, the kernel would hang on a device: an error that says who waits where.
#include "block.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "fiber.h"
#include "launch.h"

namespace emulator {

__thread Current current;

namespace {

constexpr uint64_t kPoison = ~uint64_t(0);
constexpr size_t kMaxStaticShared = 48 * 1024, kMaxShared = 227 * 1024;

struct Wait {
    Site site{};
    Meeting meeting{};
    unsigned mask = 0;

    bool operator==(const Wait& other) const {
        return meeting == other.meeting && mask == other.mask && site.line == other.site.line &&
               same(site.name, other.site.name) && same(site.file, other.site.file);
    }

private:
    static bool same(const char* a, const char* b) { return a == b || std::strcmp(a, b) == 0; }
};

enum class State : uint8_t { Running, AtWarp, AtBlock, Returned };

struct Thread {
    uint3 index;
    State state;
    Fiber* fiber;
    Wait wait;
    uint64_t value, received;
    unsigned source;
};

struct Warp {
    unsigned alive, waiting;  // a bit a lane
};

struct SharedVariable {
    const void* key;
    size_t size;
    std::unique_ptr<unsigned char[]> bytes;
    uint64_t block;  // the block it was last poisoned for
};

// Those who may go on, in the order in which they may. Each thread stands in it once at most.
class Queue {
public:
    void reset(size_t num_threads) {
        places.assign(num_threads, nullptr);
        clear();
    }
    void clear() { first = count = 0; }
    size_t size() const { return count; }
    void push(Thread* thread) { at(count++) = thread; }
    Thread* pop() {
        Thread* thread = at(0);
        first = first + 1 == places.size() ? 0 : first + 1;
        --count;
        return thread;
    }
    // The one that comes next, or one further back.
    Thread*& at(size_t place) {
        return places[first + place < places.size() ? first + place : first + place - places.size()];
    }

private:
    std::vector<Thread*> places;
    size_t first = 0, count = 0;
};

// Random numbers, the same on every machine.
class Random {
public:
    explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du) {}
    size_t below(size_t limit) {
        state += 0x9e3779b97f4a7c15u;
        uint64_t x = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        return size_t((unsigned __int128)(x ^ (x >> 31)) * limit >> 64);
    }

private:
    uint64_t state;
};

uint3 coordinates(uint64_t index, uint3 extent) {
    return {unsigned(index % extent.x), unsigned(index / extent.x % extent.y), unsigned(index / extent.x / extent.y)};
}

std::string text(uint3 v) {
    return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
}

std::string text(const Site& site) {
    const char* slash = std::strrchr(site.file, '/');
    return std::string(site.name) + " (" + (slash ? slash + 1 : site.file) + ":" + std::to_string(site.line) + ")";
}

class Machine {
public:
    void run(const Kernel& kernel, uint3 grid, Blocks blocks, uint3 block, uint32_t shared_bytes, const void* params,
             Order order, uint64_t seed);

    void run_threads();
    uint64_t meet_warp(Meeting meeting, unsigned mask, uint64_t value, unsigned source, Site site);
    int meet_block(bool value, Site site);
    void step_aside();
    // Ends the launch with what `error` says. Nothing on the stack of the thread is destroyed.
    [[noreturn]] void stop();
    void* shared_memory(const void* key, size_t size);

    std::string error;

private:
    void run_block(uint64_t number, uint3 index);
    bool starts_next();
    void start_thread();
    void finish_thread();
    void wait(State state);
    void leave();
    void jump(Fiber& to);
    void release(Thread& thread);
    bool try_meet(unsigned warp, const Wait& wait);
    bool try_meet_block();
    std::string stuck() const;
    unsigned number_of(const Thread& thread) const { return unsigned(&thread - threads.data()); }

    // Of the launch.
    const Kernel* kernel = nullptr;
    const void* params = nullptr;
    Order order = Order::Forward;
    Random random{0};
    std::unique_ptr<unsigned char[]> dynamic_shared;
    size_t dynamic_bytes = 0;
    std::vector<SharedVariable> shared;
    std::vector<Thread> threads;

    // Of the block.
    uint64_t block_number = 0;
    std::vector<unsigned> rank;  // the order in which threads start
    std::vector<Warp> warps;
    size_t started = 0, alive = 0, at_block = 0;
    int count = 0;
    Site block_site{};
    Queue ready;
    bool newcomer_first = false;
    Thread* self = nullptr;

    // Of the CPU thread.
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Fiber*> idle;
    Fiber host;
    Fiber* running = &host;
};

thread_local Machine machine;

void run_threads_of_this_machine() { machine.run_threads(); }

void Machine::run(const Kernel& new_kernel, uint3 grid, Blocks blocks, uint3 block, uint32_t shared_bytes,
                  const void* new_params, Order new_order, uint64_t seed) {
    kernel = &new_kernel;
    params = new_params;
    order = new_order;
    random = Random(seed);
    error.clear();

    threads.assign(size_t(block.x) * block.y * block.z, {});
    for (size_t i = 0; i < threads.size(); ++i) threads[i].index = coordinates(i, block);
    rank.resize(threads.size());
    std::iota(rank.begin(), rank.end(), 0u);
    if (order == Order::Reversed) std::reverse(rank.begin(), rank.end());
    warps.resize((threads.size() + 31) / 32);
    ready.reset(threads.size());
    // Exactly as many bytes as asked for: the address sanitizer sees the first one beyond.
    dynamic_bytes = shared_bytes;
    dynamic_shared.reset(new unsigned char[dynamic_bytes]);
    shared.clear();
    current.block_size = block;
    current.grid_size = grid;
    current.dynamic_shared = dynamic_shared.get();

    // Blocks in shuffled order: an affine permutation needs no memory, however many there are.
    const uint64_t num_blocks = blocks.count;
    uint64_t step = 1, offset = 0;
    if (order == Order::Shuffled) {
        offset = random.below(num_blocks);
        do step = 1 + random.below(num_blocks);
        while (std::gcd(step, num_blocks) != 1);
    }
    for (uint64_t i = 0; i < num_blocks && error.empty(); ++i) {
        const uint64_t index = order == Order::Reversed ? num_blocks - 1 - i
                                                        : uint64_t(((unsigned __int128)(i)*step + offset) % num_blocks);
        run_block(i + 1, coordinates(blocks.first + index, grid));
    }
    dynamic_shared.reset();
    shared.clear();
}

void Machine::run_block(uint64_t number, uint3 index) {
    block_number = number;
    current.block = index;
    std::memset(dynamic_shared.get(), 0xff, dynamic_bytes);
    if (order == Order::Shuffled) {
        for (size_t i = rank.size(); i > 1; --i) std::swap(rank[i - 1], rank[random.below(i)]);
    }
    for (size_t w = 0; w < warps.size(); ++w) {
        const size_t lanes = std::min<size_t>(32, threads.size() - 32 * w);
        warps[w] = {lanes == 32 ? ~0u : (1u << lanes) - 1, 0};
    }
    started = at_block = 0;
    alive = threads.size();
    count = 0;
    ready.clear();
    newcomer_first = false;
    self = nullptr;

    running = &host;
    leave();
    if (!error.empty()) {
        // Some fibers were left in the middle of a thread.
        idle.clear();
        for (const auto& fiber : fibers) {
            fiber->reset(run_threads_of_this_machine);
            idle.push_back(fiber.get());
        }
    }
}

// What every fiber does: start threads while that is what comes next, then leave the stack to a later thread.
void Machine::run_threads() {
    for (;;) {
        while (starts_next()) {
            start_thread();
            kernel->run_thread(params);
            finish_thread();
        }
        idle.push_back(running);
        leave();
    }
}

// Whether a new thread comes before one that is ready.
bool Machine::starts_next() {
    if (started == threads.size()) return false;
    if (ready.size() == 0 || newcomer_first) return true;
    return order == Order::Shuffled && random.below(2) == 0;
}

void Machine::start_thread() {
    const unsigned number = rank[started++];
    newcomer_first = false;
    self = &threads[number];
    self->state = State::Running;
    current.thread = self->index;
    current.lane = number % 32;
}

void Machine::finish_thread() {
    const unsigned number = number_of(*self);
    Warp& warp = warps[number / 32];
    self->state = State::Returned;
    self = nullptr;
    --alive;
    warp.alive &= ~(1u << number % 32);
    // Others may have waited for this thread alone.
    for (unsigned lanes = warp.waiting; lanes; lanes &= lanes - 1) {
        const Thread& other = threads[number / 32 * 32 + unsigned(__builtin_ctz(lanes))];
        if (other.state == State::AtWarp) try_meet(number / 32, other.wait);
    }
    try_meet_block();
}

// Gives the CPU to another fiber until somebody makes this thread ready.
void Machine::wait(State state) {
    Thread& thread = *self;
    thread.state = state;
    thread.fiber = running;
    leave();
    self = &thread;
    thread.state = State::Running;
    current.thread = thread.index;
    current.lane = number_of(thread) % 32;
}

// Goes on with whoever comes next, on another stack.
void Machine::leave() {
    if (starts_next()) {
        if (idle.empty()) {
            fibers.push_back(std::make_unique<Fiber>(unsigned(fibers.size())));
            fibers.back()->reset(run_threads_of_this_machine);
            idle.push_back(fibers.back().get());
        }
        Fiber* fiber = idle.back();
        idle.pop_back();
        return jump(*fiber);
    }
    if (ready.size()) {
        if (order == Order::Shuffled) std::swap(ready.at(0), ready.at(random.below(ready.size())));
        return jump(*ready.pop()->fiber);
    }
    if (alive && error.empty()) error = stuck();
    jump(host);
}

void Machine::jump(Fiber& to) {
    Fiber& from = *running;
    if (&from == &to) return;
    running = &to;
    Fiber::jump(from, to);
}

void Machine::release(Thread& thread) {
    if (&thread != self) ready.push(&thread);
}

// Completes the collective `wait` if every lane it needs is there.
bool Machine::try_meet(unsigned number, const Wait& wait) {
    Warp& warp = warps[number];
    Thread* const lanes = &threads[32 * number];
    const unsigned needed = wait.mask & warp.alive;
    if (needed & ~warp.waiting) return false;
    unsigned ballot = 0;
    for (unsigned left = needed; left; left &= left - 1) {
        const unsigned lane = unsigned(__builtin_ctz(left));
        if (!(lanes[lane].wait == wait)) return false;
        ballot |= unsigned(lanes[lane].value != 0) << lane;
    }
    for (unsigned left = needed; left; left &= left - 1) {
        Thread& thread = lanes[__builtin_ctz(left)];
        switch (wait.meeting) {
        case Meeting::Sync:
            break;
        case Meeting::Exchange:
            // What a lane that is not there would send is undefined on a device.
            thread.received = needed >> thread.source & 1 ? lanes[thread.source].value : kPoison;
            break;
        case Meeting::Ballot:
            thread.received = ballot;
            break;
        case Meeting::Match:
            thread.received = 0;
            for (unsigned others = needed; others; others &= others - 1) {
                const unsigned lane = unsigned(__builtin_ctz(others));
                thread.received |= uint64_t(lanes[lane].value == thread.value) << lane;
            }
            break;
        }
    }
    warp.waiting &= ~needed;
    for (unsigned left = needed; left;) {
        const unsigned lane = unsigned(order == Order::Reversed ? 31 - __builtin_clz(left) : __builtin_ctz(left));
        left &= ~(1u << lane);
        release(lanes[lane]);
    }
    return true;
}

uint64_t Machine::meet_warp(Meeting meeting, unsigned mask, uint64_t value, unsigned source, Site site) {
    const unsigned number = number_of(*self) / 32, bit = 1u << current.lane;
    if (!(mask & bit)) {
        error = text(site) + ": the mask lacks the lane that calls, thread " + text(self->index);
        stop();
    }
    self->wait = {site, meeting, mask};
    self->value = value;
    self->source = source;
    warps[number].waiting |= bit;
    if (!try_meet(number, self->wait)) wait(State::AtWarp);
    return self->received;
}

bool Machine::try_meet_block() {
    if (at_block == 0 || at_block < alive) return false;
    for (const unsigned number : rank) {
        Thread& thread = threads[number];
        if (thread.state != State::AtBlock) continue;
        thread.received = uint64_t(count);
        thread.state = State::Running;
        release(thread);
    }
    at_block = 0;
    count = 0;
    return true;
}

int Machine::meet_block(bool value, Site site) {
    const Wait wait_here{site, Meeting::Sync, 0};
    if (at_block && !(wait_here == Wait{block_site, Meeting::Sync, 0})) {
        error = "threads of one block wait at different barriers: " + text(block_site) + " and " + text(site) +
                ", where thread " + text(self->index) + " is";
        stop();
    }
    block_site = site;
    self->wait = wait_here;
    self->state = State::AtBlock;
    ++at_block;
    count += value;
    if (!try_meet_block()) wait(State::AtBlock);
    return int(self->received);
}

void Machine::step_aside() {
    newcomer_first = true;  // It may be the one that this thread waits for.
    ready.push(self);
    wait(State::Running);
}

void Machine::stop() {
    jump(host);
    std::abort();  // Nobody jumps back here.
}

void* Machine::shared_memory(const void* key, size_t size) {
    auto place = std::find_if(shared.begin(), shared.end(), [&](const SharedVariable& s) { return s.key == key; });
    if (place == shared.end()) {
        size_t total = size;
        for (const SharedVariable& variable : shared) total += variable.size;
        if (total > kMaxStaticShared) error = "more than 48 KiB of __shared__ variables; use dynamic shared memory";
        if (total + dynamic_bytes > kMaxShared)
            error = "more than 227 KiB of shared memory, static and dynamic together";
        if (!error.empty()) stop();
        auto bytes = std::make_unique<unsigned char[]>(size);
        place = shared.insert(place, SharedVariable{key, size, std::move(bytes), 0});
    }
    if (place->block != block_number) {
        std::memset(place->bytes.get(), 0xff, size);
        place->block = block_number;
    }
    return place->bytes.get();
}

// Who waits where, a phrase for each collective.
std::string Machine::stuck() const {
    std::string phrases;
    std::vector<bool> told(threads.size());
    size_t returned = 0;
    for (size_t i = 0; i < threads.size(); ++i) {
        returned += threads[i].state == State::Returned;
        if (told[i] || threads[i].state == State::Returned) continue;
        const Thread& first = threads[i];
        size_t together = 0;
        for (size_t j = i; j < threads.size(); ++j) {
            // Lanes of different warps meet each other at a barrier of the block only.
            if (threads[j].state != first.state || !(threads[j].wait == first.wait)) continue;
            if (first.state == State::AtWarp && j / 32 != i / 32) continue;
            told[j] = true;
            ++together;
        }
        char mask[32] = "";
        if (first.state == State::AtWarp) std::snprintf(mask, sizeof mask, " with mask 0x%08x", first.wait.mask);
        phrases += (phrases.empty() ? "" : "; ") + std::to_string(together) + " from " + text(first.index) + " at " +
                   text(first.wait.site) + mask;
    }
    return "the block would hang: " + phrases + "; " + std::to_string(returned) + " have returned";
}

}  // namespace

uint64_t meet_warp(Meeting meeting, unsigned mask, uint64_t value, unsigned source, Site site) {
    return machine.meet_warp(meeting, mask, value, source, site);
}
int meet_block(bool value, Site site) { return machine.meet_block(value, site); }
void step_aside() { machine.step_aside(); }
void fail(const char* reason) {
    machine.error = reason;
    machine.stop();
}
void* shared_memory(const void* key, size_t size) { return machine.shared_memory(key, size); }

}  // namespace emulator

const char* patina3d_emulator_launch(const emulator::Kernel* kernel, const uint32_t grid[3], emulator::Blocks blocks,
                                     const uint32_t block[3], uint32_t shared_bytes, const void* params,
                                     emulator::Order order, uint64_t seed) {
    using emulator::machine;
    machine.run(*kernel, {grid[0], grid[1], grid[2]}, blocks, {block[0], block[1], block[2]}, shared_bytes, params,
                order, seed);
    if (machine.error.empty()) return nullptr;
    machine.error = "block " + emulator::text(emulator::current.block) + " of " + kernel->name + ": " + machine.error;
    return machine.error.c_str();
}
