/* Slots: values below 2^PRECISION have one each; behind them every power of two is divided into
 * 2^PRECISION slots, so that a slot is at most a thousandth of its values wide. */
#include "davenport/drill/histogram.h"

#include <math.h>

#define STEPS ((uint64_t)1 << DP_HISTOGRAM_PRECISION_BITS)

/* By how many bits a value is shortened for its slot. */
static unsigned shift_of(uint64_t value)
{
    unsigned bits = value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
    return bits > DP_HISTOGRAM_PRECISION_BITS + 1 ? bits - DP_HISTOGRAM_PRECISION_BITS - 1 : 0;
}

static uint64_t slot_of(uint64_t value)
{
    unsigned shift = shift_of(value);
    return shift * STEPS + (value >> shift);
}

/* The largest value that a slot holds. */
static uint64_t top_of(uint64_t slot)
{
    if (slot < 2 * STEPS) {
        return slot;
    }
    uint64_t shift = slot / STEPS - 1;
    return ((slot % STEPS + STEPS + 1) << shift) - 1;
}

void dp_histogram_add(struct dp_histogram *h, uint64_t ns)
{
    uint64_t most = ((uint64_t)1 << DP_HISTOGRAM_LARGEST_BITS) - 1;
    h->count++;
    h->sum += ns;
    if (ns > h->largest) {
        h->largest = ns;
    }
    h->slots[slot_of(ns < most ? ns : most)]++;
}

void dp_histogram_merge(struct dp_histogram *h, const struct dp_histogram *from)
{
    h->count += from->count;
    h->sum += from->sum;
    h->largest = h->largest > from->largest ? h->largest : from->largest;
    for (uint64_t slot = 0; slot < DP_HISTOGRAM_SLOTS; slot++) {
        h->slots[slot] += from->slots[slot];
    }
}

uint64_t dp_histogram_percentile(const struct dp_histogram *h, double percent)
{
    uint64_t wanted = (uint64_t)ceil((double)h->count * percent / 100.0);
    uint64_t seen = 0;
    for (uint64_t slot = 0; slot < DP_HISTOGRAM_SLOTS; slot++) {
        seen += h->slots[slot];
        if (seen >= wanted && seen > 0) {
            return top_of(slot) < h->largest ? top_of(slot) : h->largest;
        }
    }
    return 0;
}

double dp_histogram_mean(const struct dp_histogram *h)
{
    return h->count > 0 ? (double)h->sum / (double)h->count : 0.0;
}
