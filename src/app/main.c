/* The program: everything begins in cli.c. */
#include "app/cli.h"

int main(int argc, char **argv)
{
    return dp_cli_main(argc, argv);
}
