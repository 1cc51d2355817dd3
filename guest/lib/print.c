/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small printf. */
#include "cpu.h"
#include "guest.h"

#define BILLION 1000000000u

static void put(char c)
{
    if (c == '\n')
        serial_put('\r');
    serial_put((uint8_t)c);
}

static void put_padded(const char *text, unsigned length, unsigned width, char pad)
{
    for (; width > length; width--)
        put(pad);
    while (length--)
        put(*text++);
}

static void put_number(uint32_t value, uint32_t base, bool negative, unsigned width, char pad)
{
    char digits[12];
    unsigned at = sizeof digits;

    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[--at] = '-';
    put_padded(digits + at, sizeof digits - at, width, pad);
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        char pad = *++format == '0' ? '0' : ' ';
        unsigned width = 0;
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (unsigned)(*format - '0');
        switch (*format) {
        case 's': {
            const char *text = va_arg(arguments, const char *);
            unsigned length = 0;
            while (text[length])
                length++;
            put_padded(text, length, width, ' ');
            break;
        }
        case 'd': {
            int value = va_arg(arguments, int);
            put_number(value < 0 ? 0u - (uint32_t)value : (uint32_t)value, 10, value < 0, width, pad);
            break;
        }
        case 'u':
            put_number(va_arg(arguments, uint32_t), 10, false, width, pad);
            break;
        case 'x':
            put_number(va_arg(arguments, uint32_t), 16, false, width, pad);
            break;
        case 'c':
            put((char)va_arg(arguments, int));
            break;
        default:
            put(*format);
        }
    }
    va_end(arguments);
}

void print_long(uint64_t value)
{
    uint64_t billions = divide_64(value, BILLION);
    uint32_t rest = (uint32_t)(value - billions * BILLION);

    if (billions)
        print("%u%09u", (uint32_t)billions, rest);
    else
        print("%u", rest);
}
