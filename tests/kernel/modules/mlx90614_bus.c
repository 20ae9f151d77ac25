// SPDX-License-Identifier: GPL-2.0
/*
 * An I2C bus with one MLX90614 on it, for tests in a User Mode Linux kernel.
 *
 * The bus takes plain I2C messages and nothing else. So the kernel's own emulation of SMBus sits above it, with its own PEC, as it does
 * above the Pi's i2c-bcm2835. What goes wrong is chosen in /sys/module/mlx90614_bus/parameters/fault.
 */
#include <linux/delay.h>
#include <linux/i2c.h>
#include <linux/module.h>
#include <linux/wait.h>

enum fault { NONE, UNPLUGGED, WRONG_PEC, TIMEOUT, ERROR_FLAG, HANG };

#define AMBIENT 0x06
#define OBJECT 0x07
#define IDENTITY 0x3c
#define ERROR_BIT 0x8000
#define SMBUS_TIMEOUT_MS 35

static int bus = 1;
module_param(bus, int, 0444);
MODULE_PARM_DESC(bus, "number of the bus, as in /dev/i2c-N");

static ushort address = 0x5a;
module_param(address, ushort, 0444);

static ushort ambient = 0x3a26;
module_param(ambient, ushort, 0644);
MODULE_PARM_DESC(ambient, "register 0x06, in fiftieths of a kelvin");

static ushort object = 0x3a26;
module_param(object, ushort, 0644);
MODULE_PARM_DESC(object, "register 0x07, in fiftieths of a kelvin");

static ushort identity[4] = { 0x5d21, 0x91c4, 0x4403, 0x1a3f };
module_param_array(identity, ushort, NULL, 0644);

static bool noise = true;
module_param(noise, bool, 0644);
MODULE_PARM_DESC(noise, "the last bit of register 0x07 moves, as a live sensor's does");

static uint fault = NONE;
module_param(fault, uint, 0644);
MODULE_PARM_DESC(fault, "0 none, 1 unplugged, 2 wrong PEC, 3 time-out, 4 error flag, 5 a transfer never ends");

static uint transfers;
module_param(transfers, uint, 0444);
MODULE_PARM_DESC(transfers, "how often the bus was asked");

static DECLARE_WAIT_QUEUE_HEAD(never);

/* CRC-8 as the Smart Battery people defined it: polynomial x^8 + x^2 + x + 1, most significant bit first, nothing inverted. */
static u8 pec_of(const u8 *wire, size_t count)
{
	u16 rest = 0;

	while (count--) {
		int bit;

		rest ^= *wire++ << 8;
		for (bit = 0; bit < 8; bit++)
			rest = rest & 0x8000 ? (rest ^ (0x107 << 7)) << 1 : rest << 1;
	}
	return rest >> 8;
}

static u16 word_of(u8 cell)
{
	switch (cell) {
	case AMBIENT:
		return ambient;
	case OBJECT:
		return (object ^ (noise ? transfers / 2 & 1 : 0)) | (fault == ERROR_FLAG ? ERROR_BIT : 0);
	case IDENTITY ... IDENTITY + 3:
		return identity[cell - IDENTITY];
	default:
		return 0;
	}
}

/* What the sensor does answer: Read Word alone, that is one byte of command, then as many bytes as are clocked out of it. */
static int read_word(struct i2c_msg *asked, struct i2c_msg *told)
{
	u8 wire[6] = { address << 1, asked->buf[0], address << 1 | I2C_M_RD };
	u16 word = word_of(asked->buf[0]), at;

	wire[3] = word & 0xff;
	wire[4] = word >> 8;
	wire[5] = pec_of(wire, 5) ^ (fault == WRONG_PEC ? 1 : 0);
	for (at = 0; at < told->len; at++)
		told->buf[at] = at < 3 ? wire[3 + at] : 0xff; /* a line that nobody pulls down */
	return 2;
}

static int transfer(struct i2c_adapter *on, struct i2c_msg *parts, int count)
{
	transfers++;
	switch (fault) {
	case UNPLUGGED:
		return -EREMOTEIO; /* nobody acknowledges the address: what i2c-bcm2835 says then */
	case TIMEOUT:
		msleep(SMBUS_TIMEOUT_MS);
		return -ETIMEDOUT;
	case HANG:
		wait_event(never, fault != HANG); /* not even SIGKILL ends this */
		return -EIO;
	}
	if (parts[0].addr != address || count != 2 || parts[0].flags & I2C_M_RD || parts[0].len != 1 || !(parts[1].flags & I2C_M_RD))
		return -EREMOTEIO;
	return read_word(&parts[0], &parts[1]);
}

static u32 functionality(struct i2c_adapter *on)
{
	return I2C_FUNC_I2C | (I2C_FUNC_SMBUS_EMUL & ~I2C_FUNC_SMBUS_QUICK);
}

static const struct i2c_algorithm algorithm = { .master_xfer = transfer, .functionality = functionality };
static struct i2c_adapter adapter = { .owner = THIS_MODULE, .algo = &algorithm, .name = "bus of a simulated MLX90614" };

static int __init begin(void)
{
	adapter.nr = bus;
	return i2c_add_numbered_adapter(&adapter);
}

static void __exit end(void)
{
	i2c_del_adapter(&adapter);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("I2C bus with a simulated MLX90614");
MODULE_LICENSE("GPL");
